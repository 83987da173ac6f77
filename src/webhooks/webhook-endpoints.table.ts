import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";
import type { EventRow } from "../events/events.repository.ts";

/** A tenant's webhook endpoints and their positions in the stream. */
export const webhookEndpoints = (d: Dialect) =>
  d.table(
    "webhook_endpoints",
    {
      tenantId: d.text("tenant_id").notNull(),
      endpointId: d.text("endpoint_id").notNull(),
      url: d.text("url").notNull(),
      description: d.text("description").notNull(),
      /** The event types to deliver; all if empty. */
      types: d.json<readonly EventRow["type"][]>("types").notNull(),
      paused: d.boolean("paused").notNull(),
      sealedSecret: d.bytes("sealed_secret").notNull(),
      /** The previous secret; null after its overlap has ended. */
      sealedOldSecret: d.bytes("sealed_old_secret"),
      oldSecretExpireTime: d.instant("old_secret_expire_time"),
      /** Grows with every change by an administrator, from 1. */
      version: d.counter("version").notNull(),
      /** The position: the last sequence number delivered or skipped. */
      position: d.counter("position").notNull(),
      /** Grows when a replay moves the position back. */
      replays: d.integer("replays").notNull(),
      /** The lease of the running batch. */
      leaseId: d.text("lease_id"),
      /** When the next batch is due; while one is running, when its lease expires. */
      nextAttemptTime: d.instant("next_attempt_time").notNull(),
      /** Failed deliveries since the last success. */
      failures: d.integer("failures").notNull(),
      /** The kind of the first failure of the last batch; empty without one. */
      lastError: d.text("last_error").notNull(),
      /** When the last delivery succeeded. */
      lastSuccessTime: d.instant("last_success_time"),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.endpointId] }),
      d.index("webhook_endpoints_due").on(t.paused, t.nextAttemptTime),
    ],
  );

const ownSecret = "sealed for this row and no other: a former one is the row's earlier state";
const progress = "how far deliveries are: they are delayed, repeated or left out, to where they always went";
const shown = "shown to administrators, and asked nowhere";

bindRows(
  webhookEndpoints,
  ["tenantId", "endpointId", "url", "description", "types", "createTime"],
  {
    paused: "stops deliveries, or lets them go on to where they always went",
    sealedSecret: ownSecret,
    sealedOldSecret: ownSecret,
    oldSecretExpireTime: "for how long deliveries are signed with a former secret too",
    version: "tells one change from another",
    position: progress,
    replays: progress,
    leaseId: progress,
    nextAttemptTime: progress,
    failures: progress,
    lastError: shown,
    lastSuccessTime: shown,
    updateTime: shown,
  },
  { broken: "absent" },
);
