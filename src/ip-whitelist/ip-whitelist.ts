import { isDeepStrictEqual } from "node:util";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { parseIp } from "../core/ip-address.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { type IpWhitelistRow, ipWhitelistRepository } from "./ip-whitelist.repository.ts";
import { listing, type Network, overlap, readNetwork, type Written } from "./network.ts";

/** What somebody asks to be listed. */
export interface WhitelistRequest {
  readonly cidr: string;
  readonly force: boolean;
}

/** What may be changed of an entry; undefined leaves it. */
export interface EntryChange {
  readonly entryId: string;
  readonly version: number;
  readonly network: WhitelistRequest | undefined;
  readonly label: string | undefined;
  readonly enabled: boolean | undefined;
  /** Null for never. */
  readonly expireTime: Date | null | undefined;
  readonly reason: string;
}

/** An entry, and what deserves a second look. */
export interface ListedNetwork {
  readonly row: IpWhitelistRow;
  readonly warnings: readonly string[];
}

/** Networks a tenant may list. */
const MAX_ENTRIES = 1_000;

const invalid = (field: string) => new Refusal("INVALID_FIELD", { metadata: { field } });

function networkOf({ cidr, force }: WhitelistRequest): Written {
  const written = readNetwork(cidr);
  if (!written) throw invalid("cidr");
  const { network, hadHostBits, isBroad, isEverything } = written;
  if (isEverything || ((hadHostBits || isBroad) && !force)) {
    throw new Refusal("RANGE_REFUSED", { metadata: { canonical: network.cidr } });
  }
  return written;
}

/** The networks of entries. */
export const networksOf = (rows: readonly IpWhitelistRow[]): Network[] =>
  rows.flatMap(({ cidr }) => readNetwork(cidr)?.network ?? []);

function warningsOf({ network, hadHostBits, isBroad }: Written, others: readonly IpWhitelistRow[]): string[] {
  return [
    ...(hadHostBits ? [`host bits were cleared: ${network.cidr}`] : []),
    ...(isBroad ? [`a broad network: ${network.cidr}`] : []),
    ...networksOf(others)
      .filter((other) => overlap(other, network))
      .map(({ cidr }) => `overlaps ${cidr}`),
  ];
}

const shown = ({ cidr, label, enabled, expireTime }: IpWhitelistRow) => ({
  ...{ cidr, label, enabled },
  ...(expireTime && { expireTime: expireTime.toISOString() }),
});

/** Records a change of the list in the unit of the change. */
async function record(
  tx: Tx,
  call: Call,
  verb: string,
  { reason, before, after }: { reason: string; before?: IpWhitelistRow; after?: IpWhitelistRow },
): Promise<void> {
  const owner = { tenantId: call.caller.tenantId, userId: "" };
  await recordAudit(tx, call, {
    owner,
    action: `ip_whitelist_entry.${verb}`,
    targetId: (after ?? before)?.entryId ?? "",
    reason,
    ...(before && { before: shown(before) }),
    ...(after && { after: shown(after) }),
  });
  await recordEvent(tx, call, { owner, type: "POLICY_CHANGED" });
}

/** Lists a network. */
export async function listNetwork(
  call: Call,
  asked: WhitelistRequest,
  { reason, ...entry }: Pick<IpWhitelistRow, "label" | "enabled" | "expireTime"> & { reason: string },
): Promise<ListedNetwork | Refusal> {
  const { tenantId } = call.caller;
  if (entry.expireTime && entry.expireTime <= call.now) return invalid("expire_time");
  const written = networkOf(asked);
  return call.unit(async (tx) => {
    const entries = ipWhitelistRepository(tx);
    const others = await entries.list(tenantId);
    if (others.length >= MAX_ENTRIES) throw new Refusal("LIMIT_REACHED");
    const times = { createTime: call.now, updateTime: call.now };
    const row = { ...entry, tenantId, entryId: newId(), cidr: written.network.cidr, version: 1, ...times };
    if (!(await entries.insert(row))) throw new Refusal("DUPLICATE");
    await record(tx, call, "created", { reason, after: row });
    return { row, warnings: warningsOf(written, others) };
  });
}

/** Changes an entry, if nobody else has since `version`. */
export async function changeEntry(call: Call, change: EntryChange): Promise<ListedNetwork | Refusal> {
  const { network: asked, label, enabled, expireTime, entryId, version, reason } = change;
  if ([asked, label, enabled, expireTime].every((field) => field === undefined)) return new Refusal("EMPTY_UPDATE");
  if (expireTime && expireTime <= call.now) return invalid("expire_time");
  const written = asked && networkOf(asked);
  const key = { tenantId: call.caller.tenantId, entryId };
  return call.unit(async (tx) => {
    const entries = ipWhitelistRepository(tx);
    // Out and in again: another entry of the new network is a conflict of the insert, not an error of the database.
    const before = await entries.deleteVersion(key, version);
    if (!before) {
      const current = await entries.find(key);
      throw current
        ? new Refusal("STALE_VERSION", { metadata: { version: String(current.version) } })
        : new Refusal("NOT_FOUND");
    }
    const row = {
      ...before,
      cidr: written?.network.cidr ?? before.cidr,
      label: label ?? before.label,
      enabled: enabled ?? before.enabled,
      expireTime: expireTime === undefined ? before.expireTime : expireTime,
      version: version + 1,
      updateTime: call.now,
    };
    const parts = ({ cidr, label: named, enabled: isOn, expireTime: end }: IpWhitelistRow) => [cidr, named, isOn, end];
    if (isDeepStrictEqual(parts(row), parts(before))) throw new Refusal("EMPTY_UPDATE");
    const others = await entries.list(key.tenantId);
    if (!(await entries.insert(row))) throw new Refusal("DUPLICATE");
    await record(tx, call, "updated", { reason, before, after: row });
    return { row, warnings: written ? warningsOf(written, others) : [] };
  });
}

/** Whether a change has a network count that does not, or for longer: it lowers the risk of log-ins from there. */
export const widens = (
  call: Call,
  { entryId, network, enabled, expireTime }: Pick<EntryChange, "entryId" | "network" | "enabled" | "expireTime">,
): Promise<boolean> =>
  call.read(async (tx) => {
    const before = await ipWhitelistRepository(tx).find({ tenantId: call.caller.tenantId, entryId });
    if (!before || !(enabled ?? before.enabled)) return false;
    const isLonger = expireTime !== undefined && before.expireTime && (!expireTime || expireTime > before.expireTime);
    return network !== undefined || !before.enabled || Boolean(isLonger);
  });

/** Takes an entry off the list. */
export const removeEntry = (call: Call, entryId: string, reason: string): Promise<Refusal | undefined> =>
  call.unit(async (tx) => {
    const before = await ipWhitelistRepository(tx).delete({ tenantId: call.caller.tenantId, entryId });
    if (!before) return new Refusal("NOT_FOUND");
    await record(tx, call, "deleted", { reason, before });
    return undefined;
  });

/** The entries of the caller's tenant, oldest first: enabled or not, and holding an address, where that is asked. */
export async function listEntries(
  call: Call,
  { enabled, containsIp }: { enabled: boolean | undefined; containsIp: string },
): Promise<IpWhitelistRow[]> {
  const ip = parseIp(containsIp);
  if (containsIp !== "" && !ip) throw invalid("contains_ip");
  const rows = await call.unit((tx) => ipWhitelistRepository(tx).list(call.caller.tenantId));
  return rows.filter((row) => (enabled ?? row.enabled) === row.enabled && (!ip || listing(networksOf([row]))(ip)));
}
