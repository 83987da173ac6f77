import type { Store } from "../db/store.ts";
import { decrypt, encrypt, SealBroken } from "./aead.ts";
import { dataKeyRepository, type WrappedKey } from "./data-keys.repository.ts";
import { placeOf, wrapperOf } from "./data-keys.ts";
import { keyCheckRepository } from "./key-checks.repository.ts";
import type { RootKey, RootKeys } from "./root-key.ts";

/** Data keys that are wrapped anew in one unit. */
const BATCH = 100;

/** The operator's keys that data depends on and the primary one is to take over from: none that came after it. */
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
  const secret = decrypt(wrapperOf(from), row.wrapped, placeOf(row));
  const names = { tenantId: row.tenantId, keyId: row.keyId, wrappingKeyId: to.id };
  const wrapped = encrypt(wrapperOf(to), secret, placeOf(names));
  secret.fill(0);
  return { ...names, wrapped };
}

/**
 * Wraps with the primary key whatever data keys a former one wrapped; answers how many. The data keys themselves stay,
 * so nothing that they sealed is touched, and instances that hold both keys open it throughout. A key that became
 * primary later is left alone: while instances are restarted one by one, some still take the former for the primary.
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
