import { and, asc, desc, eq, gt, gte, inArray, lt, or, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { before, type PageParams, type Position, pagedBack, slice } from "../db/page.ts";
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

type Listing = WantedDecisions & PageParams & { readonly tenantId: string };

const isTenant = (s: Building<{ tenantId: string }>) => {
  const t = s.table(riskDecisions);
  return eq(t.tenantId, s.param("tenantId", t.tenantId));
};

const statements = {
  insert: statement((s: Building<RiskDecisionRow>) => {
    const t = s.table(riskDecisions);
    return s.db.insert(t).values(s.row(t)).returning({ decisionId: t.decisionId });
  }),
  find: statement((s: Building<Owner & { decisionId: string }>) => {
    const t = s.table(riskDecisions);
    const isThis = eq(t.decisionId, s.param("decisionId", t.decisionId));
    return s.db
      .select()
      .from(t)
      .where(and(isTenant(s), isThis, eq(t.userId, s.param("userId", t.userId))));
  }),
  list: statement((s: Building<Listing>) => {
    const t = s.table(riskDecisions);
    const userId = s.param("userId", t.userId);
    const level = s.param("level", t.level);
    const decision = s.param("decision", t.decision);
    return s.db
      .select()
      .from(t)
      .where(
        and(
          isTenant(s),
          or(sql`${userId} = ''`, eq(t.userId, userId)),
          or(sql`${level} = ''`, eq(t.level, level)),
          or(sql`${decision} = ''`, eq(t.decision, decision)),
          gte(t.createTime, s.param("since", t.createTime)),
          lt(t.createTime, s.param("until", t.createTime)),
          before(s, t.createTime, t.decisionId),
        ),
      )
      .orderBy(desc(t.createTime), desc(t.decisionId))
      .limit(s.limit("limit"));
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
  /** A page of a tenant's, newest first. */
  list: async (tenantId: string, wanted: WantedDecisions, { position, size }: { position: Position; size: number }) => {
    const rows = await tx.run(statements.list, { tenantId, ...wanted, ...pagedBack(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.decisionId }));
  },
  /** Tenants with decisions, in the order of their names. */
  listTenants: async (after: string, limit: number) =>
    (await tx.run(statements.listTenants, { after, limit })).map(({ tenantId }) => tenantId),
  /** Forgets some of a tenant's oldest; says how many. */
  deleteBefore: async (tenantId: string, time: Date, limit: number) =>
    (await tx.run(statements.deleteBefore, { tenantId, time, limit })).length,
});
