import { and, asc, eq, gt, gte, inArray, lt, or, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { all, having } from "../db/conditions.ts";
import { insert, type PageAsked, select, selectPage } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { riskDecisions } from "./risk-decisions.table.ts";

/** A row of the table. */
export type RiskDecisionRow = ReturnType<typeof riskDecisions>["$inferSelect"];

/** Which decisions somebody asks for; empty texts ask for all. */
export type WantedDecisions = {
  readonly userId: string;
  readonly level: string;
  readonly decision: string;
  readonly since: Date;
  readonly until: Date;
};

const isTenant = having(riskDecisions, "tenantId");

const isWanted = (s: Building<WantedDecisions>) => {
  const t = s.table(riskDecisions);
  const userId = s.param("userId", t.userId);
  const level = s.param("level", t.level);
  const decision = s.param("decision", t.decision);
  return and(
    or(sql`${userId} = ''`, eq(t.userId, userId)),
    or(sql`${level} = ''`, eq(t.level, level)),
    or(sql`${decision} = ''`, eq(t.decision, decision)),
    gte(t.createTime, s.param("since", t.createTime)),
    lt(t.createTime, s.param("until", t.createTime)),
  );
};

const newestFirst = { time: "createTime", id: "decisionId", newestFirst: true } as const;

const statements = {
  insert: insert(riskDecisions),
  find: select(riskDecisions, having(riskDecisions, "tenantId", "decisionId", "userId")),
  list: selectPage(riskDecisions, all(isTenant, isWanted), newestFirst),
  listTenants: statement((s: Building<{ after: string; limit: number }>) => {
    const t = s.table(riskDecisions);
    return s.db
      .selectDistinct({ tenantId: t.tenantId })
      .from(t)
      .where(gt(t.tenantId, s.param("after", t.tenantId)))
      .orderBy(asc(t.tenantId))
      .limit(s.limit("limit"));
  }),
  deleteBefore: statement((s: Building<{ tenantId: string; time: Date; limit: number }>) => {
    const t = s.table(riskDecisions);
    const due = s.db
      .select({ decisionId: t.decisionId })
      .from(t)
      .where(and(isTenant(s), lt(t.createTime, s.param("time", t.createTime))))
      .orderBy(asc(t.createTime))
      .limit(s.limit("limit"));
    return s.db
      .delete(t)
      .where(and(isTenant(s), inArray(t.decisionId, due)))
      .returning({ decisionId: t.decisionId });
  }),
};

/** Decisions about log-ins. */
export const riskDecisionRepository = (tx: Tx) => ({
  insert: (row: RiskDecisionRow) => tx.run(statements.insert, row),
  /** A decision about this user. */
  find: async (owner: Owner, decisionId: string) => (await tx.run(statements.find, { ...owner, decisionId }))[0],
  /** A page of a tenant's, newest first. */
  list: (tenantId: string, wanted: WantedDecisions, page: PageAsked) =>
    statements.list(tx, { tenantId, ...wanted }, page),
  /** Tenants with decisions, in the order of their names. */
  listTenants: async (after: string, limit: number) =>
    (await tx.run(statements.listTenants, { after, limit })).map(({ tenantId }) => tenantId),
  /** Forgets some of a tenant's oldest; says how many. */
  deleteBefore: async (tenantId: string, time: Date, limit: number) =>
    (await tx.run(statements.deleteBefore, { tenantId, time, limit })).length,
});
