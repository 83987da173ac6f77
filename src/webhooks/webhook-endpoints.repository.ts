import { and, asc, eq, gt, inArray, isNotNull, lt, lte, sql } from "drizzle-orm";
import { type RowOf, reading, rewriting, type WithMac } from "../db/bound-rows.ts";
import { insert, select, setParams } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { eventStreams } from "../events/event-streams.table.ts";
import { webhookEndpoints } from "./webhook-endpoints.table.ts";

/** A row of the table. */
export type WebhookEndpointRow = RowOf<typeof webhookEndpoints>;

/** An endpoint of a tenant. */
export type EndpointKey = { readonly tenantId: string; readonly endpointId: string };

type Change = WithMac<WebhookEndpointRow> & { now: Date };
type Rotation = EndpointKey & { sealedSecret: Buffer; oldSecretExpireTime: Date; now: Date };
type Lease = EndpointKey & { leaseId: string; now: Date; leaseExpireTime: Date };
type Round = EndpointKey & Pick<WebhookEndpointRow, "position" | "lastSuccessTime"> & { leaseId: string };
type Outcome = EndpointKey &
  Pick<WebhookEndpointRow, "version" | "failures" | "lastError" | "paused" | "nextAttemptTime">;

const isEndpoint = (s: Building<EndpointKey>) => {
  const t = s.table(webhookEndpoints);
  return and(eq(t.tenantId, s.param("tenantId", t.tenantId)), eq(t.endpointId, s.param("endpointId", t.endpointId)));
};

const statements = {
  insert: insert(webhookEndpoints),
  find: select(webhookEndpoints, isEndpoint),
  list: statement((s: Building<{ tenantId: string }>) => {
    const t = s.table(webhookEndpoints);
    return s.db
      .select()
      .from(t)
      .where(eq(t.tenantId, s.param("tenantId", t.tenantId)))
      .orderBy(asc(t.createTime), asc(t.endpointId));
  }),
  change: rewriting(
    webhookEndpoints,
    statement((s: Building<Change>) => {
      const t = s.table(webhookEndpoints);
      const now = s.param("now", t.updateTime);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "url", "description", "types", "paused", "boundMac"),
          version: sql`${t.version} + 1`,
          // Whoever changes it wants to see what comes of it.
          ...{ failures: 0, lastError: "", nextAttemptTime: now, updateTime: now },
        })
        .where(and(isEndpoint(s), eq(t.version, s.param("version", t.version))))
        .returning() as PromiseLike<WebhookEndpointRow[]>;
    }),
  ),
  rotate: reading(
    webhookEndpoints,
    statement((s: Building<Rotation>) => {
      const t = s.table(webhookEndpoints);
      return s.db
        .update(t)
        .set({
          sealedOldSecret: t.sealedSecret,
          sealedSecret: s.param("sealedSecret", t.sealedSecret),
          oldSecretExpireTime: s.param("oldSecretExpireTime", t.oldSecretExpireTime),
          updateTime: s.param("now", t.updateTime),
        })
        .where(isEndpoint(s))
        .returning() as PromiseLike<WebhookEndpointRow[]>;
    }),
  ),
  forgetOldSecrets: statement((s: Building<{ before: Date; limit: number }>) => {
    const t = s.table(webhookEndpoints);
    const isPast = lte(t.oldSecretExpireTime, s.param("before", t.oldSecretExpireTime));
    const found = s.db.select({ endpointId: t.endpointId }).from(t).where(isPast).limit(s.limit("limit"));
    return s.db
      .update(t)
      .set({ sealedOldSecret: null, oldSecretExpireTime: null })
      .where(and(isPast, inArray(t.endpointId, found)))
      .returning({ endpointId: t.endpointId });
  }),
  putBack: statement((s: Building<EndpointKey & { position: number; replays: number; now: Date }>) => {
    const t = s.table(webhookEndpoints);
    return s.db
      .update(t)
      .set({
        position: s.param("position", t.position),
        replays: s.param("replays", t.replays),
        leaseId: null,
        nextAttemptTime: s.param("now", t.nextAttemptTime),
      })
      .where(and(isEndpoint(s), lt(t.replays, s.param("replays", t.replays))))
      .returning({ endpointId: t.endpointId });
  }),
  delete: statement((s: Building<EndpointKey>) =>
    s.db.delete(s.table(webhookEndpoints)).where(isEndpoint(s)).returning(),
  ),
  listDue: statement((s: Building<{ now: Date; limit: number }>) => {
    const [t, streams] = [s.table(webhookEndpoints), s.table(eventStreams)];
    return s.db
      .select({ tenantId: t.tenantId, endpointId: t.endpointId })
      .from(t)
      .innerJoin(streams, eq(streams.tenantId, t.tenantId))
      .where(
        and(
          eq(t.paused, false),
          lte(t.nextAttemptTime, s.param("now", t.nextAttemptTime)),
          gt(streams.position, t.position),
        ),
      )
      .orderBy(asc(t.nextAttemptTime))
      .limit(s.limit("limit"));
  }),
  lease: reading(
    webhookEndpoints,
    statement((s: Building<Lease>) => {
      const t = s.table(webhookEndpoints);
      return s.db
        .update(t)
        .set({
          leaseId: s.param("leaseId", t.leaseId),
          nextAttemptTime: s.param("leaseExpireTime", t.nextAttemptTime),
        })
        .where(and(isEndpoint(s), eq(t.paused, false), lte(t.nextAttemptTime, s.param("now", t.nextAttemptTime))))
        .returning() as PromiseLike<WebhookEndpointRow[]>;
    }),
  ),
  release: statement((s: Building<{ now: Date }>) => {
    const t = s.table(webhookEndpoints);
    return s.db
      .update(t)
      .set({ leaseId: null, nextAttemptTime: s.param("now", t.nextAttemptTime) })
      .where(isNotNull(t.leaseId))
      .returning({ endpointId: t.endpointId });
  }),
  settle: statement((s: Building<Round>) => {
    const t = s.table(webhookEndpoints);
    return s.db
      .update(t)
      .set({
        position: s.param("position", t.position),
        lastSuccessTime: s.param("lastSuccessTime", t.lastSuccessTime),
        leaseId: null,
      })
      .where(and(isEndpoint(s), eq(t.leaseId, s.param("leaseId", t.leaseId))))
      .returning({ endpointId: t.endpointId });
  }),
  note: statement((s: Building<Outcome>) => {
    const t = s.table(webhookEndpoints);
    return s.db
      .update(t)
      .set({
        failures: s.param("failures", t.failures),
        lastError: s.param("lastError", t.lastError),
        paused: s.param("paused", t.paused),
        nextAttemptTime: s.param("nextAttemptTime", t.nextAttemptTime),
      })
      .where(and(isEndpoint(s), eq(t.version, s.param("version", t.version))))
      .returning({ endpointId: t.endpointId });
  }),
};

/** Where events are delivered. */
export const webhookEndpointRepository = (tx: Tx) => ({
  insert: (row: WebhookEndpointRow) => tx.run(statements.insert, row),
  find: async (key: EndpointKey) => (await tx.run(statements.find, key))[0],
  /** All of a tenant, oldest first; there are few. */
  list: (tenantId: string) => tx.run(statements.list, { tenantId }),
  /** Changes an endpoint that was read in this unit, if it still is at this version. */
  change: async (change: WebhookEndpointRow & { now: Date }) => (await tx.run(statements.change, change))[0],
  /** Gives it a new secret, beside which the present one is used until then. */
  rotate: async (rotation: Rotation) => (await tx.run(statements.rotate, rotation))[0],
  /** Forgets some former secrets whose time was over by then; says how many. */
  forgetOldSecrets: async (before: Date, limit: number) =>
    (await tx.run(statements.forgetOldSecrets, { before, limit })).length,
  /** Puts its place back, and ends the round under way; false when somebody else has put it back meanwhile. */
  putBack: async (key: EndpointKey, position: number, replays: number, now: Date) =>
    (await tx.run(statements.putBack, { ...key, position, replays, now })).length === 1,
  delete: async (key: EndpointKey) => (await tx.run(statements.delete, key))[0],
  /** Endpoints that have something to deliver, longest due first. */
  listDue: (now: Date, limit: number) => tx.run(statements.listDue, { now, limit }),
  /** Begins a round: the endpoint, for exactly one of any number of instances. */
  lease: async (lease: Lease) => (await tx.run(statements.lease, lease))[0],
  /** Ends every round at once: for a store that no other process can be working on. */
  release: (now: Date) => tx.run(statements.release, { now }),
  /** Ends a round; false when it was lost, or the endpoint put back or removed meanwhile. */
  settle: async (round: Round) => (await tx.run(statements.settle, round)).length === 1,
  /** Notes how a round went that ended, unless the endpoint was changed meanwhile: then it says nothing about this one. */
  note: (outcome: Outcome) => tx.run(statements.note, outcome),
});
