import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";
import type { Reset } from "../resets/resets.ts";

/** A call that waits: only this very request is run under its approval. */
export interface GuardedCall {
  readonly rpc: string;
  /** SHA-256 of the request, base64url. */
  readonly digest: string;
  /** What would be done, as a sentence. */
  readonly description: string;
}

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
      reset: d.json<Reset | GuardedCall>("reset").notNull(),
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
      /** When a granted call was run under it, once; null before, and for resets, which are done as they are granted. */
      useTime: d.instant("use_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.approvalId] }),
      d.index("approvals_by_time").on(t.tenantId, t.createTime, t.approvalId),
      d.index("approvals_by_user").on(t.tenantId, t.userId),
      d.index("approvals_by_requester").on(t.tenantId, t.requesterId, t.state, t.expireTime),
      d.index("approvals_by_end").on(t.expireTime),
    ],
  );

bindRows(
  approvals,
  [
    ...(["tenantId", "userId", "approvalId", "reset", "reason", "requesterId", "state", "deciderId"] as const),
    ...(["decideReason", "createTime", "expireTime", "decideTime"] as const),
  ],
  { useTime: "back to null it is the row's earlier state" },
  { broken: "absent" },
);
