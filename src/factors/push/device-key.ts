import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { isSmallOrder, isStrictDer } from "../../crypto/strict-signatures.ts";
import type { Owner } from "../../db/store.ts";
import type { PushDeviceRow } from "./push-devices.repository.ts";

/** The point at the end of an Ed25519 key's SubjectPublicKeyInfo (RFC 8410 §4). */
const ED25519_BYTES = 32;

/** The kinds of key that a phone may bring. */
export type KeyAlgorithm = "ES256" | "ED25519";

/** What binds a key to its device: the parts of a MAC. */
export const keyParts = ({ tenantId, userId }: Owner, deviceId: string, publicKey: Uint8Array) =>
  ["push-device-key/v1", tenantId, userId, deviceId, publicKey] as const;

/** The key of a paired device; undefined of one that is not. Throws DATA_TAMPERED for one that was not put there by us. */
export function pairedKey(keyring: Pick<Keyring, "verifies">, row: PushDeviceRow): KeyObject | undefined {
  const { publicKey, keyMac, deviceId } = row;
  if (publicKey === null) return undefined;
  if (keyMac === null || !keyring.verifies(keyMac, ...keyParts(row, deviceId, publicKey))) {
    throw new Refusal("DATA_TAMPERED");
  }
  return keyOf(publicKey);
}

/** A key as it is stored: SubjectPublicKeyInfo, DER. */
const keyOf = (spki: Buffer): KeyObject => createPublicKey({ key: spki, format: "der", type: "spki" });

function parse(spki: Uint8Array): KeyObject | undefined {
  try {
    return keyOf(Buffer.from(spki));
  } catch {
    return undefined;
  }
}

/** Reads the key that a phone brings; undefined for one of another kind, or in another form than it is kept in. */
export function readKey(spki: Uint8Array, algorithm: KeyAlgorithm): KeyObject | undefined {
  const key = parse(spki);
  if (key?.type !== "public" || !key.export({ format: "der", type: "spki" }).equals(spki)) return undefined;
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const isMeant =
    algorithm === "ES256"
      ? type === "ec" && details?.namedCurve === "prime256v1"
      : type === "ed25519" && !isSmallOrder(spki.subarray(-ED25519_BYTES));
  return isMeant ? key : undefined;
}

/** Whether a phone's signature is by its key. ECDSA comes in DER, or as r and s (IEEE P1363), 64 bytes. */
export function isSigned(key: KeyObject, signed: Uint8Array, signature: Uint8Array): boolean {
  if (key.asymmetricKeyType === "ed25519") return signature.length === 64 && verify(null, signed, key, signature);
  const by = (dsaEncoding: "der" | "ieee-p1363") => verify("sha256", signed, { key, dsaEncoding }, signature);
  return (signature.length === 64 && by("ieee-p1363")) || (isStrictDer(signature) && by("der"));
}
