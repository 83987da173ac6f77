import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** The assertions that were given out, until they have expired: what they rest on, and whether they were consumed. */
export const assertions = (d: Dialect) =>
  d.table(
    "assertions",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      assertionId: d.text("assertion_id").notNull(),
      /** The user's epoch when it was made: with another one it is good for nothing. */
      mfaEpoch: d.counter("mfa_epoch").notNull(),
      /** When the factor was proved: a lock since then ends it. */
      proveTime: d.instant("prove_time").notNull(),
      consumeTime: d.instant("consume_time"),
      expireTime: d.instant("expire_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.assertionId] }),
      d.index("assertions_by_end").on(t.expireTime),
    ],
  );

bindRows(assertions, ["tenantId", "userId", "assertionId", "mfaEpoch", "proveTime", "expireTime"], {
  consumeTime: "back to null it is the row's earlier state",
});
