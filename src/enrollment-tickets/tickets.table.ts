import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** Tickets: log-ins that may enroll a factor and nothing else. Only a digest of the ticket is stored. */
export const tickets = (d: Dialect) =>
  d.table(
    "tickets",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** The keyring's digest, so that readers of the table hold no ticket. */
      digest: d.bytes("digest").notNull(),
      /** When the user proved the first factor of this log-in. */
      firstFactorTime: d.instant("first_factor_time").notNull(),
      createTime: d.instant("create_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      /** When the user enrolled a factor, by this ticket or otherwise, which voids all of the user's tickets. */
      spendTime: d.instant("spend_time"),
      /** Whether it is valid although its user has a factor, since the user proved one in this log-in. */
      besideFactor: d.boolean("beside_factor").notNull().default(false),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.digest] }),
      // Only the ticket itself names its user.
      d.uniqueIndex("tickets_digest").on(t.digest),
      d.index("tickets_by_end").on(t.expireTime),
    ],
  );

bindRows(tickets, ["tenantId", "userId", "digest", "firstFactorTime", "createTime", "expireTime", "besideFactor"], {
  spendTime: "written for all of a user's at once: back to null it is the row's earlier state",
});
