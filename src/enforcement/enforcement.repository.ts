import { and, eq } from "drizzle-orm";
import { type RowOf, rewriting, unchecked, type WithMac, writing } from "../db/bound-rows.ts";
import { whereEquals } from "../db/conditions.ts";
import { deleteRows, insert, select } from "../db/rows.ts";
import { isInSpan, type UserSpan } from "../db/span.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { enforcementDeadlines, enforcementRules } from "./enforcement.table.ts";

/** A rule as it is stored. */
export type EnforcementRuleRow = RowOf<typeof enforcementRules>;
/** A user's deadline as it is stored. */
export type DeadlineRow = RowOf<typeof enforcementDeadlines>;

/** A rule of a tenant. */
export type RuleKey = { readonly tenantId: string; readonly ruleId: string };

const isRule = whereEquals(enforcementRules, "tenantId", "ruleId");
const isOwners = whereEquals(enforcementDeadlines, "tenantId", "userId");
const oldestFirst = { time: "createTime", id: "ruleId" } as const;

const statements = {
  find: select(enforcementRules, isRule),
  list: select(enforcementRules, whereEquals(enforcementRules, "tenantId"), oldestFirst),
  insert: insert(enforcementRules),
  update: writing(
    enforcementRules,
    statement((s: Building<WithMac<EnforcementRuleRow> & { basedOn: number }>) => {
      const t = s.table(enforcementRules);
      return s.db
        .update(t)
        .set({
          description: s.param("description", t.description),
          selector: s.param("selector", t.selector),
          strength: s.param("strength", t.strength),
          graceMs: s.param("graceMs", t.graceMs),
          startTime: s.param("startTime", t.startTime),
          reportOnly: s.param("reportOnly", t.reportOnly),
          enabled: s.param("enabled", t.enabled),
          version: s.param("version", t.version),
          updateTime: s.param("updateTime", t.updateTime),
          boundMac: s.param("boundMac", t.boundMac),
        })
        .where(and(isRule(s), eq(t.version, s.param("basedOn", t.version))))
        .returning({ ruleId: t.ruleId });
    }),
  ),
  delete: deleteRows(enforcementRules, isRule),
  deadlines: select(enforcementDeadlines, isOwners),
  deadlinesIn: unchecked(
    select(enforcementDeadlines, (s: Building<UserSpan>) => isInSpan(s, s.table(enforcementDeadlines))),
  ),
  give: rewriting(
    enforcementDeadlines,
    statement((s: Building<WithMac<DeadlineRow>>) => {
      const t = s.table(enforcementDeadlines);
      return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning() as PromiseLike<DeadlineRow[]>;
    }),
  ),
  apply: statement((s: Building<Owner & { ruleId: string; applies: boolean }>) => {
    const t = s.table(enforcementDeadlines);
    return s.db
      .update(t)
      .set({ applies: s.param("applies", t.applies) })
      .where(and(isOwners(s), eq(t.ruleId, s.param("ruleId", t.ruleId))))
      .returning({ ruleId: t.ruleId });
  }),
  deleteDeadlines: deleteRows(enforcementDeadlines, whereEquals(enforcementDeadlines, "tenantId", "ruleId")),
};

/** Rules about who must have a factor, and users' deadlines under them. */
export const enforcementRepository = (tx: Tx) => ({
  find: async (key: RuleKey) => (await tx.run(statements.find, key))[0],
  /** All of a tenant, oldest first; there are few. */
  list: (tenantId: string) => tx.run(statements.list, { tenantId }),
  insert: (row: EnforcementRuleRow) => tx.run(statements.insert, row),
  /** Puts the row in the place of version `basedOn`: true for exactly one of any number of callers. */
  update: async (row: EnforcementRuleRow, basedOn: number) =>
    (await tx.run(statements.update, { ...row, basedOn })).length === 1,
  /** Takes a rule away, with the deadlines under it. */
  async delete(key: RuleKey) {
    const [row] = await tx.run(statements.delete, key);
    if (row) await tx.run(statements.deleteDeadlines, key);
    return row;
  },
  /** The deadlines of a span of users. */
  deadlinesIn: (span: UserSpan) => tx.run(statements.deadlinesIn, span),
  deadlines: (owner: Owner) => tx.run(statements.deadlines, owner),
  /** Writes a deadline where there is none; answers the one that holds. */
  async give(row: DeadlineRow): Promise<DeadlineRow> {
    const [given] = await tx.run(statements.give, row);
    if (given) return given;
    const { tenantId, userId } = row;
    const held = await tx.run(statements.deadlines, { tenantId, userId });
    return held.find(({ ruleId }) => ruleId === row.ruleId) ?? row;
  },
  /** Notes whether a rule means a user at present. */
  apply: (owner: Owner, ruleId: string, applies: boolean) => tx.run(statements.apply, { ...owner, ruleId, applies }),
});
