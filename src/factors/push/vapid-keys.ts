import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Store } from "../../db/store.ts";
import { type VapidKeyRow, vapidKeyRepository } from "./vapid-keys.repository.ts";

/** A tenant's key for Web Push. */
export interface VapidKey {
  readonly privateKey: KeyObject;
  /** The uncompressed point, base64url, as browsers take it. */
  readonly publicKey: string;
}

const KEPT_TENANTS = 10_000;

const cellOf = (tenantId: string) => ({ tenantId, userId: "", row: tenantId, column: "vapid_keys.private_key" });

/** The point of a P-256 key: the end of its SubjectPublicKeyInfo. */
const pointOf = (key: KeyObject): Buffer => createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-65);

/**
 * The keys by which push services know a tenant (RFC 8292), made when first asked for. They outlast the operator's
 * keys: browsers bind subscriptions to them.
 */
export function createVapidKeys({ store, keyring, clock }: { store: Store; keyring: Keyring; clock: () => Date }) {
  const known = new Map<string, Promise<VapidKey>>();

  const make = async (tenantId: string): Promise<VapidKeyRow> => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const plain = privateKey.export({ format: "der", type: "pkcs8" });
    const sealedPrivateKey = await keyring.seal(plain, cellOf(tenantId));
    plain.fill(0);
    const row = { tenantId, publicKey: pointOf(privateKey), sealedPrivateKey, createTime: clock() };
    return store.write(async (tx) => {
      await vapidKeyRepository(tx).insert(row);
      return (await vapidKeyRepository(tx).find(tenantId)) ?? row;
    });
  };

  const load = async (tenantId: string): Promise<VapidKey> => {
    const row = (await store.read((tx) => vapidKeyRepository(tx).find(tenantId))) ?? (await make(tenantId));
    const plain = await keyring.open(row.sealedPrivateKey, cellOf(tenantId));
    const privateKey = createPrivateKey({ key: plain, format: "der", type: "pkcs8" });
    plain.fill(0);
    // Derived from the private half rather than read: a public key that somebody wrote into the row would receive the subscriptions.
    return { privateKey, publicKey: pointOf(privateKey).toString("base64url") };
  };

  /** The key of a tenant, read once for all who ask at the same time. Outside of units. */
  return (tenantId: string): Promise<VapidKey> => {
    const found = known.get(tenantId);
    if (found !== undefined) return found;
    const loading = load(tenantId);
    known.set(tenantId, loading);
    // What could not be read is asked for anew by the next.
    loading.catch(() => known.get(tenantId) === loading && known.delete(tenantId));
    const [oldest] = known.keys();
    if (oldest !== undefined && known.size > KEPT_TENANTS) known.delete(oldest);
    return loading;
  };
}
