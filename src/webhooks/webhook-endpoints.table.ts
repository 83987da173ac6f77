import type { Dialect } from "../db/dialect.ts";
import type { EventRow } from "../events/events.repository.ts";

/** Where a tenant's events are delivered, and how far they are. */
export const webhookEndpoints = (d: Dialect) =>
  d.table(
    "webhook_endpoints",
    {
      tenantId: d.text("tenant_id").notNull(),
      endpointId: d.text("endpoint_id").notNull(),
      url: d.text("url").notNull(),
      description: d.text("description").notNull(),
      /** Which types; all if empty. */
      types: d.json<readonly EventRow["type"][]>("types").notNull(),
      paused: d.boolean("paused").notNull(),
      sealedSecret: d.bytes("sealed_secret").notNull(),
      /** The one before; null when it has had its time. */
      sealedOldSecret: d.bytes("sealed_old_secret"),
      oldSecretExpireTime: d.instant("old_secret_expire_time"),
      /** Grows with every change by an administrator, from 1. */
      version: d.counter("version").notNull(),
      /** The last place of the stream that is delivered, or passed over. */
      position: d.counter("position").notNull(),
      /** Grows when the place is put back: what was delivered before is delivered again. */
      replays: d.integer("replays").notNull(),
      /** Names the round of deliveries under way. */
      leaseId: d.text("lease_id"),
      /** When the next round is due. While one is under way, when that one counts as lost. */
      nextAttemptTime: d.instant("next_attempt_time").notNull(),
      /** Deliveries that failed since the last one that was taken. */
      failures: d.integer("failures").notNull(),
      /** The kind of the first failure of the last round; empty when none of its deliveries failed. */
      lastError: d.text("last_error").notNull(),
      /** When the last delivery that was taken was. */
      lastSuccessTime: d.instant("last_success_time"),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.endpointId] }),
      d.index("webhook_endpoints_due").on(t.paused, t.nextAttemptTime),
    ],
  );
