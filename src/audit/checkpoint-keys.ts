import type { Keyring } from "../crypto/keyring.ts";
import { CHECKPOINT_KEYS } from "./checkpoints.ts";

/** The public keys that verify checkpoints, one for each key of the key file (RFC 7517). */
export const checkpointKeys = (keyring: Pick<Keyring, "signingKeys">): Readonly<Record<string, string>>[] =>
  keyring.signingKeys(CHECKPOINT_KEYS).map(({ kid, publicKey }) => {
    const { kty = "", crv = "", x = "" } = publicKey.export({ format: "jwk" });
    return { kty, crv, x, kid, use: "sig", alg: "EdDSA" };
  });
