import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Inspection } from "../db/migrate.ts";
import type { Store, Tx } from "../db/store.ts";
import { dataKeyRepository } from "./data-keys.repository.ts";
import { deriveKey } from "./derive.ts";
import { keyCheckRepository } from "./key-checks.repository.ts";
import type { RootKey, RootKeys } from "./root-key.ts";

/** The key file does not hold this database's keys. The message names key ids only. */
export class WrongKey extends Error {
  override readonly name = "WrongKey";
}

const fingerprint = (secret: KeyObject) =>
  createHmac("sha256", deriveKey(secret, "key-check")).update("key-check").digest();

const checkValue = ({ wrapping, pepper }: RootKey) => Buffer.concat([fingerprint(wrapping), fingerprint(pepper)]);

/** Refuses keys whose fingerprints differ from those that the database stores under their ids. */
function requireKnown(
  keys: Pick<RootKeys, "all">,
  known: ReadonlyMap<string, Uint8Array>,
  needed: Iterable<string>,
): void {
  for (const id of needed) {
    const key = keys.all.get(id);
    if (!key) throw new WrongKey(`the database uses key ${id}, which the key file does not hold; add it back`);
    const expected = known.get(id);
    if (!expected) throw new WrongKey(`the database uses key ${id} but lost its check value; restore a whole backup`);
    const actual = checkValue(key);
    if (expected.length !== actual.length || !timingSafeEqual(expected, actual)) {
      throw new WrongKey(`key ${id} of the key file is not the key ${id} that this database was written with`);
    }
  }
}

/** The look at a database by which wrong keys are noticed before it is migrated; the whole check comes later. */
export const inspectKeys = (keys: Pick<RootKeys, "all">): Inspection => ({
  table: "key_checks",
  check(rows) {
    const known = new Map(rows.map((row) => [String(row.key_id), row.check_value as Uint8Array]));
    requireKnown(keys, known, known.keys());
  },
});

/** Compares the ring with what the database remembers; returns the keys that it has not seen yet. */
async function verify(tx: Tx, keys: RootKeys): Promise<RootKey[]> {
  const known = new Map((await keyCheckRepository(tx).list()).map((row) => [row.keyId, row.checkValue]));
  const needed = new Set([...known.keys(), ...(await dataKeyRepository(tx).listWrappingKeyIds())]);
  requireKnown(keys, known, needed);
  return [...keys.all.values()].filter((key) => !known.has(key.id));
}

/**
 * Stops a start with wrong keys: every key that the database knows must be in the ring and be the same; otherwise
 * WrongKey is thrown and nothing was written. Keys that are new to the database are remembered.
 */
export async function checkKeys(store: Store, keys: RootKeys, now: Date): Promise<void> {
  const unseen = await store.read((tx) => verify(tx, keys));
  if (!unseen.length) return;
  await store.write(async (tx) => {
    for (const key of unseen) {
      await keyCheckRepository(tx).insert({ keyId: key.id, checkValue: checkValue(key), createTime: now });
    }
    // Another instance may have been first, with another key of that name: then this unit rolls back.
    await verify(tx, keys);
  });
}
