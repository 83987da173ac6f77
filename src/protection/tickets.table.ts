import type { Dialect } from "../db/dialect.ts";

/** Log-ins that may enrol a first factor and nothing else. Of the ticket itself only a digest is kept. */
export const tickets = (d: Dialect) =>
  d.table(
    "tickets",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** By the keyring, so that who reads the table holds no ticket. */
      digest: d.bytes("digest").notNull(),
      /** When the user proved the first factor of this log-in. */
      firstFactorTime: d.instant("first_factor_time").notNull(),
      createTime: d.instant("create_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      /** When the user enrolled a factor, by this ticket or otherwise: then none of theirs is good any more. */
      spendTime: d.instant("spend_time"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.digest] }),
      // Nobody says whose a ticket is but the ticket.
      d.uniqueIndex("tickets_digest").on(t.digest),
      d.index("tickets_by_end").on(t.expireTime),
    ],
  );
