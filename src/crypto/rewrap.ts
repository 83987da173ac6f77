import type { Store } from "../db/store.ts";
import { decrypt, encrypt, SealBroken } from "./aead.ts";
import { dataKeyRepository, type WrappedKey } from "./data-keys.repository.ts";
import { wrappedKeyContext, wrapperOf } from "./data-keys.ts";
import { keyCheckRepository } from "./key-checks.repository.ts";
import type { RootKey, RootKeys } from "./root-key.ts";

/** Data keys rewrapped in one unit. */
const BATCH = 100;

/** The former operator's keys that still wrap data keys: none that is newer than the primary one. */
async function formerKeys({ primary, all }: RootKeys, store: Store): Promise<RootKey[]> {
  const { used, checks } = await store.read(async (tx) => ({
    used: await dataKeyRepository(tx).listWrappingKeyIds(),
    checks: new Map((await keyCheckRepository(tx).list()).map(({ keyId, createTime }) => [keyId, createTime])),
  }));
  const since = (id: string) => checks.get(id)?.getTime() ?? 0;
  const former = used.filter((id) => id !== primary.id && since(id) <= since(primary.id));
  return former.map((id) => {
    const key = all.get(id);
    if (!key) throw new SealBroken();
    return key;
  });
}

function rewrapped(row: WrappedKey, from: RootKey, to: RootKey) {
  const secret = decrypt(wrapperOf(from), row.wrapped, wrappedKeyContext(row));
  const names = { tenantId: row.tenantId, keyId: row.keyId, wrappingKeyId: to.id };
  const wrapped = encrypt(wrapperOf(to), secret, wrappedKeyContext(names));
  secret.fill(0);
  return { ...names, wrapped };
}

/**
 * Rewraps with the primary key the data keys that a former one wrapped; returns how many. The data keys themselves
 * stay, so sealed values are not touched and instances with both keys open them throughout. Keys newer than the primary
 * one are left alone: during a rolling restart some instances still take the former key for the primary.
 */
export async function rewrapDataKeys(keys: RootKeys, store: Store): Promise<number> {
  let count = 0;
  for (const from of await formerKeys(keys, store)) {
    for (let full = true; full; ) {
      const rows = await store.read((tx) => dataKeyRepository(tx).listWrappedBy(from.id, BATCH));
      const next = rows.map((row) => rewrapped(row, from, keys.primary));
      count += await store.write(async (tx) => {
        let moved = 0;
        for (const row of next) if (await dataKeyRepository(tx).rewrap(row, from.id)) moved += 1;
        return moved;
      });
      full = rows.length === BATCH;
    }
  }
  return count;
}
