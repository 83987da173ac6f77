import { toJson } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import {
  type CreateIpWhitelistEntryRequest,
  type UpdateIpWhitelistEntryRequest,
  UpdateIpWhitelistEntryRequestSchema,
} from "../../gen/mfa/v1/ip_whitelist_pb.js";
import type { Call } from "../core/call.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { pageOf } from "../db/page.ts";
import { type IpWhitelistRow, ipWhitelistRepository } from "./ip-whitelist.repository.ts";
import {
  changeEntry,
  type EntryChange,
  type ListedNetwork,
  listEntries,
  listNetwork,
  removeEntry,
  widens,
} from "./ip-whitelist.ts";
import type { ListedNetworks } from "./listed-networks.ts";

const toProto = (row: IpWhitelistRow) => ({
  entryId: row.entryId,
  cidr: row.cidr,
  label: row.label,
  enabled: row.enabled,
  version: BigInt(row.version),
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
  ...(row.expireTime && { expireTime: timestampFromDate(row.expireTime) }),
});

const reply = (listed: ListedNetwork | Refusal) =>
  listed instanceof Refusal ? listed : { entry: toProto(listed.row), warnings: [...listed.warnings] };

const changeOf = (request: UpdateIpWhitelistEntryRequest): EntryChange => {
  const { entryId, cidr, force, label, enabled, clearExpireTime, reason } = request;
  const given = request.expireTime && timestampDate(request.expireTime);
  const expireTime = clearExpireTime ? null : given;
  const network = cidr === undefined ? undefined : { cidr, force };
  return { entryId, version: Number(request.version), network, label, enabled, expireTime, reason };
};

/** What administrators do with the networks that their tenant trusts a little more. */
export function createIpWhitelistHandlers(pageTokens: PageTokens, { forget }: Pick<ListedNetworks, "forget">) {
  /** A change, after which the list is read anew; also after a failure, as a commit whose answer was lost may hold. */
  const changed = <T>(call: Call, change: Promise<T>) => change.finally(() => forget(call.caller.tenantId));

  const admin = {
    createIpWhitelistEntry: async ({ cidr, force, label, disabled, expireTime, reason }, call) => {
      const expires = expireTime ? timestampDate(expireTime) : null;
      const entry = { label, enabled: !disabled, expireTime: expires, reason };
      return reply(await changed(call, listNetwork(call, { cidr, force }, entry)));
    },

    getIpWhitelistEntry: async ({ entryId }, call) => {
      const key = { tenantId: call.caller.tenantId, entryId };
      const row = await call.unit((tx) => ipWhitelistRepository(tx).find(key));
      return row ? { entry: toProto(row) } : new Refusal("NOT_FOUND");
    },

    listIpWhitelistEntries: async ({ enabled, containsIp, pageSize, pageToken }, call) => {
      const filter = JSON.stringify([enabled, containsIp]);
      const position = pageTokens.read(call, pageToken, filter);
      const found = await listEntries(call, { enabled, containsIp });
      const at = (row: IpWhitelistRow) => ({ time: row.createTime, id: row.entryId });
      const { rows, next } = pageOf(found, position, pageSize || 50, at);
      return { entries: rows.map(toProto), nextPageToken: pageTokens.write(call, next, filter) };
    },

    updateIpWhitelistEntry: async (request, call) => {
      if (request.expireTime && request.clearExpireTime) {
        return new Refusal("INVALID_FIELD", { metadata: { field: "clear_expire_time" } });
      }
      return reply(await changed(call, changeEntry(call, changeOf(request))));
    },

    deleteIpWhitelistEntry: async ({ entryId, reason }, call) =>
      (await changed(call, removeEntry(call, entryId, reason))) ?? {},
  } satisfies Handlers<typeof AdminMfaService>;

  /** What takes more than one administrator, where their tenant asks for two. */
  const guards = {
    createIpWhitelistEntry: {
      needsTwo: async (_call: Call, { disabled }: CreateIpWhitelistEntryRequest) => !disabled,
      describe: ({ cidr }: CreateIpWhitelistEntryRequest) => `Trust the network ${cidr} a little more`,
    },
    updateIpWhitelistEntry: {
      needsTwo: (call: Call, request: UpdateIpWhitelistEntryRequest) => widens(call, changeOf(request)),
      describe: (request: UpdateIpWhitelistEntryRequest) =>
        `Trust a listed network more: ${JSON.stringify(toJson(UpdateIpWhitelistEntryRequestSchema, request))}`,
    },
  };

  return { admin, guards };
}
