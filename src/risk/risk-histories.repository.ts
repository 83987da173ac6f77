import type { Owner } from "../core/caller.ts";
import { having } from "../db/conditions.ts";
import { select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { riskHistories } from "./risk-histories.table.ts";

/** A row of the table. */
export type RiskHistoryRow = ReturnType<typeof riskHistories>["$inferSelect"];

const statements = {
  find: select(riskHistories, having(riskHistories, "tenantId", "userId")),
  put: statement((s: Building<RiskHistoryRow>) => {
    const t = s.table(riskHistories);
    return s.db
      .insert(t)
      .values(s.row(t))
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId],
        set: { history: s.param("history", t.history), lastTime: s.param("lastTime", t.lastTime) },
      })
      .returning({ userId: t.userId });
  }),
};

/** What users' log-ins looked like. */
export const riskHistoryRepository = (tx: Tx) => ({
  find: async (owner: Owner) => (await tx.run(statements.find, owner))[0],
  put: (row: RiskHistoryRow) => tx.run(statements.put, row),
});
