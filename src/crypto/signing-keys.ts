import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from "node:crypto";

/** An Ed25519 key pair of ours. The private key is derived, so none is stored anywhere. */
export interface SigningKey {
  /** Names it in the header of what it signed, and in the published set. */
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410 §7). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** The key pair for one purpose under one root key. */
export function deriveSigningKey(root: KeyObject, keyId: string, purpose: string): SigningKey {
  const seed = Buffer.from(hkdfSync("sha256", root, "", `mfa-service/v1/sign/${purpose}`, 32));
  const key = Buffer.concat([PKCS8, seed]);
  const privateKey = createPrivateKey({ key, format: "der", type: "pkcs8" });
  seed.fill(0);
  key.fill(0);
  return { kid: `${keyId}.${purpose}`, privateKey, publicKey: createPublicKey(privateKey) };
}
