import type { Dialect } from "../db/dialect.ts";

/** Request ids that succeeded in the last day (AIP-155), so that a retried creation happens once. */
export const requestIds = (d: Dialect) =>
  d.table(
    "request_ids",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** The caller: a user's id, or an administrator's or a backend's name. */
      subject: d.text("subject").notNull(),
      rpc: d.text("rpc").notNull(),
      requestId: d.text("request_id").notNull(),
      expireTime: d.instant("expire_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.subject, t.rpc, t.requestId] })],
  );
