import type { Dialect } from "../db/dialect.ts";

/** What happened to users' factors and log-ins, in order: the outbox that backends and webhooks read. */
export const events = (d: Dialect) =>
  d.table(
    "events",
    {
      tenantId: d.text("tenant_id").notNull(),
      eventId: d.text("event_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** Subject and verb: "totp.verified", "mfa.locked". */
      type: d.text("type").notNull(),
      /** What it happened to: a device's id; empty where nothing narrower than the user is meant. */
      targetId: d.text("target_id").notNull(),
      rpc: d.text("rpc").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.eventId] }),
      d.index("events_by_time").on(t.tenantId, t.createTime, t.eventId),
      d.index("events_by_user").on(t.tenantId, t.userId),
    ],
  );
