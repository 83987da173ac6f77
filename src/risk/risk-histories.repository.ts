import { type RowOf, type WithMac, writing } from "../db/bound-rows.ts";
import { whereEquals } from "../db/conditions.ts";
import { select, setParams } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { riskHistories } from "./risk-histories.table.ts";

/** A row of the table. */
export type RiskHistoryRow = RowOf<typeof riskHistories>;

const statements = {
  find: select(riskHistories, whereEquals(riskHistories, "tenantId", "userId")),
  put: writing(
    riskHistories,
    statement((s: Building<WithMac<RiskHistoryRow>>) => {
      const t = s.table(riskHistories);
      return s.db
        .insert(t)
        .values(s.row(t))
        .onConflictDoUpdate({
          target: [t.tenantId, t.userId],
          set: setParams(s, t, "history", "lastTime", "boundMac"),
        })
        .returning({ userId: t.userId });
    }),
  ),
};

/** What users' log-ins looked like. */
export const riskHistoryRepository = (tx: Tx) => ({
  find: async (owner: Owner) => (await tx.run(statements.find, owner))[0],
  put: (row: RiskHistoryRow) => tx.run(statements.put, row),
});
