import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../core/caller.ts";
import { type IpRange, isInRange, parseIp, parseIpRange } from "../core/ip-address.ts";
import { createTenantCache } from "../core/tenant-cache.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { isServiceKey } from "../crypto/service-key.ts";
import type { Store, Tx } from "../db/store.ts";
import type { VerifyOwn } from "../rpc/access/credentials.ts";
import { type ServiceKeyRow, serviceKeyRepository } from "./service-keys.repository.ts";
import { DIGEST, standingOf } from "./service-keys.ts";

/** Dependencies of `createServiceKeyAuthentication`. */
export interface ServiceKeyAuthenticationOptions {
  readonly store: Pick<Store, "read" | "write">;
  readonly keyring: Pick<Keyring, "digests">;
  readonly clock: () => Date;
  /** Hears that a use could not be noted, which keeps nobody out. */
  readonly onTrouble: (error: unknown) => void;
}

const MAX_SHOWN = 60;
const excerptOf = (name: string) => (name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name);
const USE_NOTED_EVERY_MS = 3600 * 1000;
const MAX_GOOD = 1000;

const callerOf = ({ tenantId, service, scopes }: ServiceKeyRow): Caller => ({
  principal: Principal.SERVICE,
  tenantId,
  subject: service,
  acr: "aal1",
  authTime: undefined,
  sessionId: "",
  scopes: new Set(scopes),
});

/** A key made ready to be asked of many calls. */
interface ReadyKey {
  readonly row: ServiceKeyRow;
  readonly caller: Caller;
  readonly networks: readonly IpRange[];
}

const readyKey = (row: ServiceKeyRow): ReadyKey => ({
  row,
  caller: callerOf(row),
  networks: row.networks.flatMap((network) => parseIpRange(network) ?? []),
});

/** Whether a key is accepted from an address; one whose address is not known is in no network. */
function admits({ row, networks }: ReadyKey, ip: string): boolean {
  if (row.networks.length === 0) return true;
  const address = parseIp(ip);
  return address !== undefined && networks.some((network) => isInRange(address, network));
}

/**
 * Service keys as credentials. A key is looked up by its digest under the operator's keys, so that neither the time of a
 * look-up nor the index tells anything of a key that is nearly right. What was read is kept for a second: a revoked key
 * is refused within a second by every instance, and a busy backend costs one read a second.
 */
export function createServiceKeyAuthentication(options: ServiceKeyAuthenticationOptions): VerifyOwn {
  const { store, keyring, clock, onTrouble } = options;
  const digestsOf = (secret: string) => keyring.digests(DIGEST, secret);
  /** Digests of the keys that were good when last read: their look-ups are the backends' own. */
  const good = new Set<string>();
  /** When a use was last noted here, so that calls in between ask nothing of the store. */
  const noted = new Map<string, number>();

  const find = async (tx: Tx, digests: readonly Buffer[]) => {
    for (const digest of digests) {
      const row = await serviceKeyRepository(tx).findByDigest(digest);
      if (row) return readyKey(row);
    }
    return undefined;
  };

  const recent = createTenantCache((names) => {
    const digests = names.split(" ").map((name) => Buffer.from(name, "base64url"));
    return store.read((tx) => find(tx, digests));
  }, clock);

  const remember = (name: string, isGood: boolean) => {
    good.delete(name);
    if (isGood) good.add(name);
    const [oldest] = good;
    if (good.size > MAX_GOOD && oldest !== undefined) good.delete(oldest);
  };

  async function noteUse({ row }: ReadyKey, now: Date): Promise<undefined> {
    const { tenantId, keyId } = row;
    const since = noted.get(keyId) ?? row.lastUseTime?.getTime() ?? Number.NEGATIVE_INFINITY;
    if (Math.abs(now.getTime() - since) < USE_NOTED_EVERY_MS) return;
    noted.set(keyId, now.getTime());
    if (noted.size > MAX_GOOD) noted.clear();
    const before = new Date(now.getTime() - USE_NOTED_EVERY_MS);
    await store.write((tx) => serviceKeyRepository(tx).noteUse({ tenantId, keyId }, now, before)).catch(onTrouble);
  }

  /** What is wrong with a key, if anything. */
  const faultOf = (key: ReadyKey | undefined, now: Date, ip: string): string | undefined => {
    if (key === undefined)
      return "a service key that this service does not know, or that somebody altered in the database";
    const name = `the service key ${key.row.secretPrefix}… of ${excerptOf(key.row.service)}`;
    const standing = standingOf(key.row, now);
    if (standing !== "ACTIVE") return `${name} ${standing === "REVOKED" ? "was revoked" : "has expired"}`;
    return admits(key, ip) ? undefined : `${name} is not accepted from ${ip || "an unknown address"}`;
  };

  return async (credential, { now, ip, beforeLook }) => {
    if (!isServiceKey(credential)) return { rejected: "a service key that was mistyped or cut off" };
    const name = digestsOf(credential)
      .map((digest) => digest.toString("base64url"))
      .join(" ");
    if (!good.has(name)) beforeLook();
    const key = await recent.of(name);
    remember(name, key !== undefined && standingOf(key.row, now) === "ACTIVE");
    const fault = faultOf(key, now, ip);
    if (key === undefined || fault !== undefined) return { rejected: fault ?? "" };
    return { caller: key.caller, confirm: () => noteUse(key, now) };
  };
}
