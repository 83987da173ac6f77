import { createTenantCache } from "../core/tenant-cache.ts";
import type { Store } from "../db/store.ts";
import { type IpWhitelistRow, ipWhitelistRepository } from "./ip-whitelist.repository.ts";
import { networksOf } from "./ip-whitelist.ts";
import { listing } from "./network.ts";

/** What judges log-ins asks of the lists. */
export interface ListedNetworks {
  /**
   * Whether a tenant has listed an address, by the list as it stood at most a second ago, or after the last change here.
   * It lowers a risk and never lets anybody in; an address that cannot be read is not listed. Outside of units.
   */
  isListed(tenantId: string, address: string, now: Date): Promise<boolean>;
  /** Has the next question read the list again. */
  forget(tenantId: string): void;
}

function askable(rows: readonly IpWhitelistRow[]) {
  const enabled = rows.filter((row) => row.enabled);
  const isForGood = listing(networksOf(enabled.filter(({ expireTime }) => expireTime === null)));
  const ending = enabled.flatMap((row) =>
    row.expireTime ? [{ isIn: listing(networksOf([row])), endMs: row.expireTime.getTime() }] : [],
  );
  return (address: string, now: Date) =>
    isForGood(address) || ending.some(({ isIn, endMs }) => endMs > now.getTime() && isIn(address));
}

/** The lists of all tenants, made ready to be asked: a log-in reads none of their thousand entries. */
export function createListedNetworks(store: Pick<Store, "read">, clock: () => Date): ListedNetworks {
  const lists = createTenantCache(
    async (tenantId) => askable(await store.read((tx) => ipWhitelistRepository(tx).list(tenantId))),
    clock,
  );
  return {
    isListed: async (tenantId, address, now) => (await lists.of(tenantId))(address, now),
    forget: lists.forget,
  };
}
