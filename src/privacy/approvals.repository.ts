import { and, desc, eq, gt, lte, or, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { before, type PageParams, type Position, pagedBack, slice } from "../db/page.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { approvals } from "./approvals.table.ts";

/** A row of the table. */
export type ApprovalRow = ReturnType<typeof approvals>["$inferSelect"];

/** Where an approval stands: as it is written, or that its time ran out. */
export type ApprovalStanding = ApprovalRow["state"] | "expired";

type Key = { readonly tenantId: string; readonly approvalId: string };
type Decision = Key & Pick<ApprovalRow, "state" | "deciderId" | "decideReason"> & { now: Date };
type Listing = { tenantId: string; state: string; now: Date };

const isThis = (s: Building<Key>) => {
  const t = s.table(approvals);
  return and(eq(t.tenantId, s.param("tenantId", t.tenantId)), eq(t.approvalId, s.param("approvalId", t.approvalId)));
};

const statements = {
  insert: statement((s: Building<ApprovalRow>) => {
    const t = s.table(approvals);
    return s.db.insert(t).values(s.row(t)).returning({ approvalId: t.approvalId });
  }),
  find: statement((s: Building<Key>) => s.db.select().from(s.table(approvals)).where(isThis(s))),
  listOpen: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(approvals);
    return s.db
      .select()
      .from(t)
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          eq(t.userId, s.param("userId", t.userId)),
          eq(t.state, "pending"),
          gt(t.expireTime, s.param("now", t.expireTime)),
        ),
      );
  }),
  decide: statement((s: Building<Decision>) => {
    const t = s.table(approvals);
    return s.db
      .update(t)
      .set({
        state: s.param("state", t.state),
        deciderId: s.param("deciderId", t.deciderId),
        decideReason: s.param("decideReason", t.decideReason),
        decideTime: s.param("now", t.decideTime),
      })
      .where(and(isThis(s), eq(t.state, "pending"), gt(t.expireTime, s.param("now", t.expireTime))))
      .returning();
  }),
  list: statement((s: Building<Listing & PageParams>) => {
    const t = s.table(approvals);
    const state = s.param("state", t.decideReason);
    const now = s.param("now", t.expireTime);
    return s.db
      .select()
      .from(t)
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          or(
            sql`${state} = ''`,
            and(sql`${state} = 'pending'`, eq(t.state, "pending"), gt(t.expireTime, now)),
            and(sql`${state} = 'expired'`, eq(t.state, "pending"), lte(t.expireTime, now)),
            and(sql`${state} <> 'pending'`, sql`${t.state} = ${state}`),
          ),
          before(s, t.createTime, t.approvalId),
        ),
      )
      .orderBy(desc(t.createTime), desc(t.approvalId))
      .limit(s.limit("limit"));
  }),
};

/** A tenant's approvals. */
export const approvalRepository = (tx: Tx) => ({
  insert: (row: ApprovalRow) => tx.run(statements.insert, row),
  find: async (key: Key) => (await tx.run(statements.find, key))[0],
  /** What waits about a user. */
  listOpen: (owner: Owner, now: Date) => tx.run(statements.listOpen, { ...owner, now }),
  /** Pending to decided: a row for exactly one of any number of callers, and none once its time ran out. */
  decide: async (decision: Decision) => (await tx.run(statements.decide, decision))[0],
  /** A page, newest first; an empty state stands for all. */
  list: async (
    of: { tenantId: string; state: ApprovalStanding | ""; now: Date },
    { position, size }: { position: Position; size: number },
  ) => {
    const rows = await tx.run(statements.list, { ...of, ...pagedBack(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.approvalId }));
  },
});
