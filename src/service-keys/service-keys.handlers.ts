import { durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { type CreateServiceKeyRequest, ServiceKeyState } from "../../gen/mfa/v1/service_key_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { pageOf } from "../db/page.ts";
import { type ServiceKeyRow, serviceKeyRepository } from "./service-keys.repository.ts";
import { createServiceKeys, type ServiceKeyOptions, standingOf } from "./service-keys.ts";

const DEFAULT_LIFETIME_MS = 90 * 24 * 3600 * 1000;

const toProto = (row: ServiceKeyRow, now: Date) => ({
  keyId: row.keyId,
  service: row.service,
  secretPrefix: row.secretPrefix,
  scopes: [...row.scopes],
  networks: [...row.networks],
  state: ServiceKeyState[standingOf(row, now)],
  createTime: timestampFromDate(row.createTime),
  expireTime: timestampFromDate(row.expireTime),
  ...(row.lastUseTime && { lastUseTime: timestampFromDate(row.lastUseTime) }),
  ...(row.revokeTime && { revokeTime: timestampFromDate(row.revokeTime) }),
});

/** What administrators do with the keys of backends. */
export function createServiceKeyHandlers({
  pageTokens,
  ...options
}: ServiceKeyOptions & { readonly pageTokens: PageTokens }) {
  const keys = createServiceKeys(options);

  const admin = {
    createServiceKey: async ({ service, scopes, networks, lifetime, reason }, call) => {
      const lifetimeMs = lifetime ? durationMs(lifetime) : DEFAULT_LIFETIME_MS;
      const created = await keys.create(call, { service, scopes, networks, lifetimeMs, reason });
      if (created instanceof Refusal) return created;
      return { key: toProto(created.row, call.now), secret: created.secret };
    },

    listServiceKeys: async ({ pageSize, pageToken }, call) => {
      const position = pageTokens.read(call, pageToken);
      const all = await call.unit((tx) => serviceKeyRepository(tx).list(call.caller.tenantId));
      const at = (row: ServiceKeyRow) => ({ time: row.createTime, id: row.keyId });
      const { rows, next } = pageOf(all, position, pageSize || 50, at);
      return { keys: rows.map((row) => toProto(row, call.now)), nextPageToken: pageTokens.write(call, next) };
    },

    revokeServiceKey: async ({ keyId, reason }, call) => {
      const row = await keys.revoke(call, keyId, reason);
      return row instanceof Refusal ? row : { key: toProto(row, call.now) };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  /** A key gives power away and always takes two; taking it back never does. */
  const guards = {
    createServiceKey: {
      needsTwo: async () => true,
      describe: ({ service, scopes }: CreateServiceKeyRequest) =>
        `Create a service key for ${service} with ${scopes.join(", ")}`,
    },
  };

  return { admin, guards };
}
