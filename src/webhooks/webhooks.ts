import { isDeepStrictEqual } from "node:util";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { randomSecret } from "../crypto/random.ts";
import { webhookSecretText } from "../crypto/standard-webhook.ts";
import type { Store, Tx } from "../db/store.ts";
import { ALL, createEventStream } from "../events/event-stream.ts";
import type { Destinations } from "./destination.ts";
import {
  type EndpointKey,
  type WebhookEndpointRow,
  webhookEndpointRepository,
} from "./webhook-endpoints.repository.ts";

/** Dependencies of webhooks. */
export interface WebhookOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly destinations: Destinations;
}

/** The fields of an endpoint that an administrator states. */
export type EndpointFields = Pick<WebhookEndpointRow, "url" | "description" | "types">;

const MAX_ENDPOINTS = 10;
const DAY_MS = 24 * 3600 * 1000;
const SECRET_BYTES = 32;
/** Events that the preview of a replay counts at most. */
const STEP = 1_000;

/** The contexts in which an endpoint's present and previous secrets are sealed. */
export const secretCell = ({ tenantId, endpointId }: EndpointKey) => ({
  ...{ tenantId, userId: "", row: endpointId },
  column: "webhook_endpoints.secret",
});

const shown = ({ url, description, types, paused }: WebhookEndpointRow) => ({ url, description, types, paused });

const refusedDestination = () => new Refusal("DESTINATION_REFUSED", { metadata: { field: "url" } });

/** The webhook endpoints of tenants. */
export function createWebhooks({ store, keyring, destinations }: WebhookOptions) {
  const stream = createEventStream(store);

  const record = (
    tx: Tx,
    call: Call,
    verb: string,
    entry: { targetId: string; reason: string; before?: object; after?: object },
  ) => {
    const { before, after, ...act } = entry;
    const [was, is] = [before && { before: { ...before } }, after && { after: { ...after } }];
    const owner = { tenantId: call.caller.tenantId, userId: "" };
    return recordAudit(tx, call, { owner, action: `webhook_endpoint.${verb}`, ...act, ...was, ...is });
  };

  async function newSecret(key: EndpointKey) {
    const secret = randomSecret(SECRET_BYTES);
    const sealedSecret = await keyring.seal(secret, secretCell(key));
    const text = webhookSecretText(secret);
    secret.fill(0);
    return { sealedSecret, text };
  }

  return {
    /** Adds an endpoint, which gets what happens from now on, and its secret. */
    async create(call: Call, stated: EndpointFields, reason: string) {
      const { tenantId } = call.caller;
      if (!(await destinations.admits(stated.url))) return refusedDestination();
      const key = { tenantId, endpointId: newId() };
      const { sealedSecret, text } = await newSecret(key);
      const position = await stream.end(tenantId);
      const row: WebhookEndpointRow = {
        ...{ ...key, ...stated, position, sealedSecret, sealedOldSecret: null, oldSecretExpireTime: null },
        ...{ paused: false, version: 1, replays: 0, failures: 0, lastError: "", leaseId: null, lastSuccessTime: null },
        ...{ nextAttemptTime: call.now, createTime: call.now, updateTime: call.now },
      };
      return call.unit(async (tx) => {
        const endpoints = webhookEndpointRepository(tx);
        // First, as from here on no other unit of the tenant adds one: the count holds.
        await record(tx, call, "created", { targetId: key.endpointId, reason, after: shown(row) });
        if ((await endpoints.list(tenantId)).length >= MAX_ENDPOINTS) throw new Refusal("LIMIT_REACHED");
        await endpoints.insert(row);
        return { row, secret: text };
      });
    },

    /** Changes an endpoint, if nobody else has since `version`. */
    async update(
      call: Call,
      endpointId: string,
      { version, reason, ...change }: Partial<EndpointFields> & { paused?: boolean; version: number; reason: string },
    ) {
      const key = { tenantId: call.caller.tenantId, endpointId };
      if (Object.keys(change).length === 0) return new Refusal("EMPTY_UPDATE");
      if (change.url !== undefined && !(await destinations.admits(change.url))) return refusedDestination();
      return call.unit(async (tx) => {
        const endpoints = webhookEndpointRepository(tx);
        const before = await endpoints.find(key);
        if (!before) return new Refusal("NOT_FOUND");
        const { url, description, types, paused } = { ...before, ...change };
        const wanted = shown({ ...before, url, description, types, paused });
        if (before.version === version && isDeepStrictEqual(wanted, shown(before))) return new Refusal("EMPTY_UPDATE");
        const row = await endpoints.change({ ...before, url, description, types, paused, version, now: call.now });
        if (!row) {
          const current = (await endpoints.find(key))?.version ?? 0;
          return new Refusal("STALE_VERSION", { metadata: { version: String(current) } });
        }
        await record(tx, call, "updated", { targetId: endpointId, reason, before: shown(before), after: shown(row) });
        return row;
      });
    },

    /** Removes an endpoint, and with it what waits for it. */
    remove: (call: Call, endpointId: string, reason: string): Promise<Refusal | undefined> =>
      call.unit(async (tx) => {
        const before = await webhookEndpointRepository(tx).delete({ tenantId: call.caller.tenantId, endpointId });
        if (!before) return new Refusal("NOT_FOUND");
        await record(tx, call, "deleted", { targetId: endpointId, reason, before: shown(before) });
        return undefined;
      }),

    /** Gives an endpoint a new secret; deliveries are signed with the old one too for a while. */
    async rotate(
      call: Call,
      endpointId: string,
      { overlapMs = DAY_MS, reason }: { overlapMs?: number; reason: string },
    ) {
      const key = { tenantId: call.caller.tenantId, endpointId };
      const { sealedSecret, text } = await newSecret(key);
      const oldSecretExpireTime = new Date(call.now.getTime() + overlapMs);
      return call.unit(async (tx) => {
        const rotation = { ...key, sealedSecret, oldSecretExpireTime, now: call.now };
        const row = await webhookEndpointRepository(tx).rotate(rotation);
        // Thrown, as a row that somebody altered is not to be given a secret.
        if (!row) throw new Refusal("NOT_FOUND");
        const after = { oldSecretExpireTime: oldSecretExpireTime.toISOString() };
        await record(tx, call, "secret_rotated", { targetId: endpointId, reason, after });
        return { row, secret: text, oldSecretExpireTime };
      });
    },

    /** Delivers again what lies after a place; says how many events that are. */
    async replay(
      call: Call,
      endpointId: string,
      { cursor, since, reason }: { cursor: string; since: Date; reason: string },
    ) {
      const key = { tenantId: call.caller.tenantId, endpointId };
      const row = await store.read((tx) => webhookEndpointRepository(tx).find(key));
      if (!row) return new Refusal("NOT_FOUND");
      const { tenantId } = key;
      const from = await stream.begin(tenantId, { cursor, since });
      let queued = 0;
      for (let place = from, isEnd = false; !isEnd; ) {
        // Nobody waits for the count any more, and nothing is put back.
        if (call.signal.aborted) return new Refusal("DEADLINE");
        const part = await stream.after(tenantId, { ...ALL, types: row.types }, place, STEP);
        queued += part.events.length;
        ({ place, isEnd } = part);
      }
      return call.unit(async (tx) => {
        const putBack = await webhookEndpointRepository(tx).putBack(key, from, row.replays + 1, call.now);
        if (!putBack) throw new Refusal("CONFLICT");
        await record(tx, call, "events_replayed", { targetId: endpointId, reason, after: { from, queued } });
        return queued;
      });
    },
  };
}
