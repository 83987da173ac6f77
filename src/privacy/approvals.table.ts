import type { Dialect } from "../db/dialect.ts";
import type { Reset } from "./resets.ts";

/** What administrators asked for and another one decides, and what became of it. */
export const approvals = (d: Dialect) =>
  d.table(
    "approvals",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** Whom it concerns. */
      userId: d.text("user_id").notNull(),
      approvalId: d.text("approval_id").notNull(),
      /** What is to be done. */
      reset: d.json<Reset>("reset").notNull(),
      reason: d.text("reason").notNull(),
      requesterId: d.text("requester_id").notNull(),
      /** As it was written last; one that nobody decided in time still says "pending". */
      state: d.text("state").$type<"pending" | "granted" | "rejected" | "cancelled">().notNull(),
      /** Who decided; empty before, and where its requester took it back. */
      deciderId: d.text("decider_id").notNull(),
      decideReason: d.text("decide_reason").notNull(),
      createTime: d.instant("create_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      decideTime: d.instant("decide_time"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.approvalId] }),
      d.index("approvals_by_time").on(t.tenantId, t.createTime, t.approvalId),
      d.index("approvals_by_user").on(t.tenantId, t.userId),
    ],
  );
