import type { KeyObject } from "node:crypto";
import type { Store } from "../db/store.ts";
import { decrypt, encrypt, SealBroken } from "./aead.ts";
import { dataKeyRepository, type WrappedKey } from "./data-keys.repository.ts";
import { deriveKey, holdKey } from "./derive.ts";
import { frame } from "./framing.ts";
import { randomSecret } from "./random.ts";
import type { RootKey, RootKeys } from "./root-key.ts";

const KEPT_MS = 5 * 60 * 1000;
const KEPT_TENANTS = 10_000;

/** The unwrapped data keys of one tenant. */
export interface TenantKeys {
  /** The one that seals. */
  readonly current: { readonly id: string; readonly key: KeyObject };
  readonly all: ReadonlyMap<string, KeyObject>;
}

/** The source of a tenant's data keys. */
export interface DataKeys {
  /** Returns the tenant's keys; makes the first one on first use. */
  sealing(tenantId: string): Promise<TenantKeys>;
  /** Returns one key of a tenant, undefined without one of that id. Makes none. */
  opening(tenantId: string, keyId: string): Promise<KeyObject | undefined>;
}

/** The context that a wrapped key is bound to (associated data). */
export const wrappedKeyContext = (row: Omit<WrappedKey, "wrapped" | "createTime">) =>
  frame("data-key/v1", row.tenantId, row.keyId, row.wrappingKeyId);

/** What wraps data keys, of an operator's key. */
export const wrapperOf = ({ wrapping }: RootKey): KeyObject => deriveKey(wrapping, "wrap-data-key");

/**
 * The data keys: wrapped in the table, unwrapped in memory for five minutes, so that a rotation or an erased tenant
 * takes effect. A miss reads, and on a tenant's first use writes: call it outside of units of work.
 */
export function createDataKeys(keys: RootKeys, store: Store, clock: () => Date): DataKeys {
  const wrappers = new Map([...keys.all.values()].map((key) => [key.id, wrapperOf(key)]));
  const wrapperNamed = (id: string) => {
    const wrapper = wrappers.get(id);
    if (!wrapper) throw new SealBroken();
    return wrapper;
  };
  const kept = new Map<string, { readonly until: number; readonly keys: Promise<TenantKeys> }>();

  const unwrap = (rows: readonly WrappedKey[]): TenantKeys | undefined => {
    const all = new Map(
      rows.map((row) => [
        row.keyId,
        holdKey(decrypt(wrapperNamed(row.wrappingKeyId), row.wrapped, wrappedKeyContext(row))),
      ]),
    );
    const id = String(Math.max(...rows.map((row) => Number(row.keyId))));
    const key = all.get(id);
    return key && { current: { id, key }, all };
  };

  /** Caches a load; a failed one is dropped, so that the next call tries again. */
  function keep(tenantId: string, keys: Promise<TenantKeys>): Promise<TenantKeys> {
    const entry = { until: performance.now() + KEPT_MS, keys };
    kept.delete(tenantId);
    kept.set(tenantId, entry);
    keys.catch(() => kept.get(tenantId) === entry && kept.delete(tenantId));
    const [oldest] = kept.keys();
    if (oldest !== undefined && kept.size > KEPT_TENANTS) kept.delete(oldest);
    return keys;
  }

  function cached(tenantId: string): Promise<TenantKeys> | undefined {
    const entry = kept.get(tenantId);
    return entry && entry.until > performance.now() ? entry.keys : undefined;
  }

  async function find(tenantId: string): Promise<TenantKeys | undefined> {
    return unwrap(await store.read((tx) => dataKeyRepository(tx).list(tenantId)));
  }

  async function create(tenantId: string): Promise<TenantKeys> {
    const names = { tenantId, keyId: "1", wrappingKeyId: keys.primary.id };
    const secret = randomSecret(32);
    const wrapped = encrypt(wrapperNamed(keys.primary.id), secret, wrappedKeyContext(names));
    secret.fill(0);
    await store.write((tx) => dataKeyRepository(tx).insert({ ...names, wrapped, createTime: clock() }));
    // Read again: another instance may have added its key first.
    const found = await find(tenantId);
    if (!found) throw new Error("a new data key is not to be found");
    return found;
  }

  return {
    sealing: (tenantId) =>
      cached(tenantId) ??
      keep(
        tenantId,
        find(tenantId).then((found) => found ?? create(tenantId)),
      ),
    async opening(tenantId, keyId) {
      const known = (await cached(tenantId))?.all.get(keyId);
      if (known) return known;
      // Nothing cached, or another instance has made the key since.
      const found = await find(tenantId);
      if (found) await keep(tenantId, Promise.resolve(found));
      return found?.all.get(keyId);
    },
  };
}
