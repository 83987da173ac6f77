import type { Dialect } from "../db/dialect.ts";

/** One row for each user who ever had anything to do with MFA: what serialises and dates the changes of their factors. */
export const users = (d: Dialect) =>
  d.table(
    "users",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** Grows with each change of the user's factors; what was trusted under an older one is trusted no more. */
      mfaEpoch: d.counter("mfa_epoch").notNull(),
      /** The factor that the user made their first choice; empty before. It may be gone by now. */
      primaryFactorId: d.text("primary_factor_id").notNull().default(""),
      updateTime: d.instant("update_time").notNull(),
      /** Until when the user cannot enrol anew, as an administrator reset them; null without. */
      coolDownUntilTime: d.instant("cool_down_until_time"),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId] })],
  );
