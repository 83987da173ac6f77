import { and, asc, desc, eq, gt, gte, inArray, lt, not, or, sql } from "drizzle-orm";
import type { RowOf } from "../db/bound-rows.ts";
import { whereAll, whereEquals } from "../db/conditions.ts";
import { before, type PageParams, pagedBack, START } from "../db/page.ts";
import { insert, type PageAsked, select, selectPage } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { riskDecisions } from "./risk-decisions.table.ts";

/** A row of the table. */
export type RiskDecisionRow = RowOf<typeof riskDecisions>;

/** Which decisions somebody asks for; empty texts ask for all. */
export type WantedDecisions = {
  readonly userId: string;
  readonly level: string;
  readonly decision: string;
  readonly since: Date;
  readonly until: Date;
};

const isTenant = whereEquals(riskDecisions, "tenantId");

type Filter = Omit<WantedDecisions, "userId">;

/** Decisions that one unit looks through: rare ones in a long list must not keep others waiting. */
const WINDOW = 4_000;

const isWanted = (s: Building<Filter>) => {
  const t = s.table(riskDecisions);
  const level = s.param("level", t.level);
  const decision = s.param("decision", t.decision);
  return and(
    or(sql`${level} = ''`, eq(t.level, level)),
    or(sql`${decision} = ''`, eq(t.decision, decision)),
    // Negated, or SQLite would rather go by the tenant's times than by the user; the place in the list bounds both.
    not(lt(t.createTime, s.param("since", t.createTime))),
    not(gte(t.createTime, s.param("until", t.createTime))),
  );
};

const isInWindow = (s: Building<{ edgeTime: Date; edgeId: string }>) => {
  const t = s.table(riskDecisions);
  return sql`(${t.createTime}, ${t.decisionId}) >= (${s.param("edgeTime", t.createTime)}, ${s.param("edgeId", t.decisionId)})`;
};

const newestFirst = { time: "createTime", id: "decisionId", newestFirst: true } as const;

const statements = {
  insert: insert(riskDecisions),
  find: select(riskDecisions, whereEquals(riskDecisions, "tenantId", "decisionId", "userId")),
  listInWindow: selectPage(riskDecisions, whereAll(isTenant, isWanted, isInWindow), newestFirst),
  listOfUser: selectPage(
    riskDecisions,
    whereAll(whereEquals(riskDecisions, "tenantId", "userId"), isWanted),
    newestFirst,
  ),
  /** The last decision of a window. */
  findEdge: statement((s: Building<PageParams & { tenantId: string }>) => {
    const t = s.table(riskDecisions);
    return s.db
      .select({ time: t.createTime, id: t.decisionId })
      .from(t)
      .where(and(isTenant(s), before(s, t.createTime, t.decisionId)))
      .orderBy(desc(t.createTime), desc(t.decisionId))
      .limit(1)
      .offset(s.limit("limit"));
  }),
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
  /**
   * A page of a tenant's, newest first. Of those of all users it looks through a window: the page may hold fewer than
   * asked for, or none, and still have a next.
   */
  async list(tenantId: string, wanted: WantedDecisions, page: PageAsked, window = WINDOW) {
    if (wanted.userId !== "") return statements.listOfUser(tx, { tenantId, ...wanted }, page);
    const place = pagedBack(page.position, window - 2);
    const [edge] = await tx.run(statements.findEdge, { tenantId, ...place });
    const { time: edgeTime, id: edgeId } = edge ?? START;
    // Both ends as times too: those are the bounds that SQLite looks for in the index.
    const since = edgeTime > wanted.since ? edgeTime : wanted.since;
    const end = new Date(place.afterTime.getTime() + 1);
    const until = end < wanted.until ? end : wanted.until;
    const asked = { tenantId, ...wanted, since, until, edgeTime, edgeId };
    const { rows, next } = await statements.listInWindow(tx, asked, page);
    const following = next ?? (edge && edge.time >= wanted.since ? edge : undefined);
    return following ? { rows, next: following } : { rows };
  },
  /** Tenants with decisions, in the order of their names. */
  listTenants: async (after: string, limit: number) =>
    (await tx.run(statements.listTenants, { after, limit })).map(({ tenantId }) => tenantId),
  /** Forgets some of a tenant's oldest; says how many. */
  deleteBefore: async (tenantId: string, time: Date, limit: number) =>
    (await tx.run(statements.deleteBefore, { tenantId, time, limit })).length,
});
