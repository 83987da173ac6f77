import type { Dialect } from "../db/dialect.ts";
import type { History } from "./history.ts";

/** What log-ins of a user looked like that went through, to tell what is new. */
export const riskHistories = (d: Dialect) =>
  d.table(
    "risk_histories",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      history: d.json<History>("history").notNull(),
      /** Of the last log-in. */
      lastTime: d.instant("last_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId] }), d.index("risk_histories_by_time").on(t.lastTime)],
  );
