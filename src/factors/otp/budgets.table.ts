import type { Dialect } from "../../db/dialect.ts";

/** What was drawn in one slice of time: its number, how often, and how often it came to something. */
export type Slice = readonly [slice: number, drawn: number, fruitful: number];

/** What has been drawn from budgets in their windows of time, across sessions, RPCs, instances and restarts. */
export const budgets = (d: Dialect) =>
  d.table(
    "budgets",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** Of a user's own budget; empty for those that users share. */
      userId: d.text("user_id").notNull(),
      /** Which budget: "sms.number.day". */
      budget: d.text("budget").notNull(),
      /** Of what: a digest, never a number or an address itself. */
      key: d.text("key").notNull(),
      slices: d.json<readonly Slice[]>("slices").notNull(),
      updateTime: d.instant("update_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.budget, t.key] }),
      d.index("budgets_by_end").on(t.updateTime),
    ],
  );
