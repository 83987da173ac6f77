import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import { deriveKey } from "./derive.ts";
import { type FramedPart, frame, tag, untag } from "./framing.ts";

/** Keyed hashes of one family, HMAC-SHA-256 with a key of its own for each purpose; the key's id leads each hash. */
export interface KeyedHash {
  make(purpose: string, ...parts: readonly FramedPart[]): Buffer;
  /**
   * The hashes of these parts by every key, the primary's first, so that a hash made under a former key is found too.
   */
  makeAll(purpose: string, ...parts: readonly FramedPart[]): Buffer[];
  /** Whether `made` is the hash of these parts under the key that it names. Compares in constant time. */
  matches(made: Uint8Array, purpose: string, ...parts: readonly FramedPart[]): boolean;
}

/** A family of keyed hashes over root secrets by key id. `family` keeps it apart from every other use of the secrets. */
export function createKeyedHash(family: string, roots: ReadonlyMap<string, KeyObject>, primaryId: string): KeyedHash {
  const derived = new Map<string, KeyObject>();
  const hash = (keyId: string, purpose: string, parts: readonly FramedPart[]): Buffer | undefined => {
    const root = roots.get(keyId);
    if (!root) return undefined;
    // Purposes are constants of the code, so the map stays small. A key id holds no "/".
    const label = `${keyId}/${purpose}`;
    const key = derived.get(label) ?? deriveKey(root, `${family}/${purpose}`);
    derived.set(label, key);
    return createHmac("sha256", key)
      .update(frame(...parts))
      .digest();
  };
  const make = (keyId: string, purpose: string, parts: readonly FramedPart[]): Buffer => {
    const made = hash(keyId, purpose, parts);
    if (!made) throw new Error(`no key ${keyId}`);
    return tag(keyId, made);
  };
  return {
    make: (purpose, ...parts) => make(primaryId, purpose, parts),
    makeAll: (purpose, ...parts) => [...new Set([primaryId, ...roots.keys()])].map((id) => make(id, purpose, parts)),
    matches(made, purpose, ...parts) {
      const named = untag(made);
      const expected = named && hash(named.keyId, purpose, parts);
      return expected !== undefined && named?.made.length === expected.length && timingSafeEqual(named.made, expected);
    },
  };
}
