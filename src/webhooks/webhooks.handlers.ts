import { durationMs, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { EventType, WebhookState } from "../../gen/mfa/v1/event_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { pageOf } from "../db/page.ts";
import { ALL, cursorOf } from "../events/event-stream.ts";
import type { EventRow } from "../events/events.repository.ts";
import { type WebhookEndpointRow, webhookEndpointRepository } from "./webhook-endpoints.repository.ts";
import { createWebhooks, type WebhookOptions } from "./webhooks.ts";

const names = EventType as unknown as Readonly<Record<number, EventRow["type"]>>;
const namesOf = (types: readonly EventType[]) => types.flatMap((type) => names[type] ?? []);

function stateOf({ paused, lastError }: WebhookEndpointRow): WebhookState {
  if (paused) return WebhookState.PAUSED;
  return lastError !== "" ? WebhookState.FAILING : WebhookState.ACTIVE;
}

const toProto = (row: WebhookEndpointRow) => ({
  endpointId: row.endpointId,
  url: row.url,
  description: row.description,
  types: row.types.map((type) => EventType[type]),
  state: stateOf(row),
  cursor: cursorOf(row.position, undefined),
  consecutiveFailureCount: row.failures,
  lastError: row.lastError,
  version: BigInt(row.version),
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
  ...(row.lastSuccessTime && { lastSuccessTime: timestampFromDate(row.lastSuccessTime) }),
});

/** RPCs by which administrators keep webhook endpoints. */
export function createWebhookHandlers({
  pageTokens,
  ...options
}: WebhookOptions & { readonly pageTokens: PageTokens }) {
  const webhooks = createWebhooks(options);

  const admin = {
    createWebhookEndpoint: async ({ url, description, types, reason }, call) => {
      const created = await webhooks.create(call, { url, description, types: namesOf(types) }, reason);
      return created instanceof Refusal ? created : { endpoint: toProto(created.row), secret: created.secret };
    },

    getWebhookEndpoint: async ({ endpointId }, call) => {
      const key = { tenantId: call.caller.tenantId, endpointId };
      const row = await call.unit((tx) => webhookEndpointRepository(tx).find(key));
      return row ? { endpoint: toProto(row) } : new Refusal("NOT_FOUND");
    },

    listWebhookEndpoints: async ({ pageSize, pageToken }, call) => {
      const position = pageTokens.read(call, pageToken);
      const all = await call.unit((tx) => webhookEndpointRepository(tx).list(call.caller.tenantId));
      const at = (row: WebhookEndpointRow) => ({ time: row.createTime, id: row.endpointId });
      const { rows, next } = pageOf(all, position, pageSize || 50, at);
      return { endpoints: rows.map(toProto), nextPageToken: pageTokens.write(call, next) };
    },

    updateWebhookEndpoint: async ({ endpointId, url, description, types, paused, version, reason }, call) => {
      const row = await webhooks.update(call, endpointId, {
        ...(url !== undefined && { url }),
        ...(description !== undefined && { description }),
        ...(types && { types: namesOf(types.types) }),
        ...(paused !== undefined && { paused }),
        version: Number(version),
        reason,
      });
      return row instanceof Refusal ? row : { endpoint: toProto(row) };
    },

    deleteWebhookEndpoint: async ({ endpointId, reason }, call) =>
      (await webhooks.remove(call, endpointId, reason)) ?? {},

    rotateWebhookSecret: async ({ endpointId, overlap, reason }, call) => {
      const overlapMs = overlap && { overlapMs: durationMs(overlap) };
      const rotated = await webhooks.rotate(call, endpointId, { ...overlapMs, reason });
      if (rotated instanceof Refusal) return rotated;
      const { row, secret, oldSecretExpireTime } = rotated;
      return { endpoint: toProto(row), secret, oldExpireTime: timestampFromDate(oldSecretExpireTime) };
    },

    replayWebhookEvents: async ({ endpointId, afterCursor: cursor, startTime, reason }, call) => {
      const since = startTime ? timestampDate(startTime) : ALL.since;
      const queued = await webhooks.replay(call, endpointId, { cursor, since, reason });
      return queued instanceof Refusal ? queued : { queuedCount: BigInt(queued) };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}
