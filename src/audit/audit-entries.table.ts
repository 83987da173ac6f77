import type { Dialect } from "../db/dialect.ts";

type Json = Readonly<Record<string, unknown>>;

/** Who changed what, when and by which RPC. Rows are only ever added. */
export const auditEntries = (d: Dialect) =>
  d.table(
    "audit_entries",
    {
      tenantId: d.text("tenant_id").notNull(),
      entryId: d.text("entry_id").notNull(),
      /** Subject and verb: "totp.enrolled". */
      action: d.text("action").notNull(),
      /** The principal's kind: USER, ADMIN, SERVICE … */
      actorType: d.text("actor_type").notNull(),
      actorId: d.text("actor_id").notNull(),
      userId: d.text("user_id").notNull(),
      targetId: d.text("target_id").notNull(),
      rpc: d.text("rpc").notNull(),
      /** Why, as the actor stated; empty when nobody asked. */
      reason: d.text("reason").notNull().default(""),
      /** The state that the act changed, without secrets; null for none. */
      before: d.json<Json>("before"),
      after: d.json<Json>("after"),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.entryId] }),
      d.index("audit_entries_by_time").on(t.tenantId, t.createTime, t.entryId),
      d.index("audit_entries_by_user").on(t.tenantId, t.userId),
    ],
  );
