import type { Dialect } from "../db/dialect.ts";

/** One row for each user known to the service. Changes of a user's factors lock and date it. */
export const users = (d: Dialect) =>
  d.table(
    "users",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** The epoch: grows with each change of the user's factors; trust of an older epoch is void. */
      mfaEpoch: d.counter("mfa_epoch").notNull(),
      /**
       * The epoch of the last change that took something away: tokens of this service from an older one are void. 0, as in
       * rows from before there were such tokens: none are.
       */
      tokensEpoch: d.counter("tokens_epoch").notNull().default(0),
      /** The user's preferred factor; empty for none. It may no longer exist. */
      primaryFactorId: d.text("primary_factor_id").notNull().default(""),
      updateTime: d.instant("update_time").notNull(),
      /** The end of the cool-down after a reset, before which the user cannot enroll; null for none. */
      coolDownUntilTime: d.instant("cool_down_until_time"),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId] })],
  );
