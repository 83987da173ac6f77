import { whereEquals } from "../../db/conditions.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { budgets, type Slice } from "./budgets.table.ts";

/** One budget of one thing. */
export type BudgetKey = Owner & { readonly budget: string; readonly key: string };
type Row = BudgetKey & { slices: readonly Slice[]; updateTime: Date };

const isThis = whereEquals(budgets, "tenantId", "userId", "budget", "key");

const statements = {
  touch: statement((s: Building<Row>) => {
    const t = s.table(budgets);
    return s.db
      .insert(t)
      .values(s.row(t))
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId, t.budget, t.key],
        set: { updateTime: s.param("updateTime", t.updateTime) },
      })
      .returning({ slices: t.slices });
  }),
  update: statement((s: Building<BudgetKey & { slices: readonly Slice[] }>) => {
    const t = s.table(budgets);
    return s.db
      .update(t)
      .set({ slices: s.param("slices", t.slices) })
      .where(isThis(s))
      .returning({ key: t.key });
  }),
};

/** What has been drawn from budgets. */
export const budgetRepository = (tx: Tx) => ({
  /** What was drawn so far; from here on other units that touch it wait for this one. */
  touch: async (key: BudgetKey, now: Date): Promise<readonly Slice[]> =>
    (await tx.run(statements.touch, { ...key, slices: [], updateTime: now }))[0]?.slices ?? [],
  update: (key: BudgetKey, slices: readonly Slice[]) => tx.run(statements.update, { ...key, slices }),
});
