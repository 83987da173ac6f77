import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

/** Moves key bytes into a KeyObject, which neither prints nor serialises itself, and wipes them here. */
export function holdKey(bytes: Buffer): KeyObject {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

/** The 256-bit key for one purpose (HKDF-SHA-256, RFC 5869): keys of different labels tell nothing about each other. */
export const deriveKey = (root: KeyObject, label: string): KeyObject =>
  holdKey(Buffer.from(hkdfSync("sha256", root, "", `mfa-service/v1/${label}`, 32)));
