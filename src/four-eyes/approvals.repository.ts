import { and, desc, eq, gt, isNull, lte, or, sql } from "drizzle-orm";
import { type RowOf, reading, rewriting, type WithMac } from "../db/bound-rows.ts";
import { isInTime, whereAll, whereEquals, whereIn } from "../db/conditions.ts";
import { before, type PageParams, type Position, pagedBack, slice } from "../db/page.ts";
import { insert, select, setParams } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { approvals } from "./approvals.table.ts";

/** A row of the table. */
export type ApprovalRow = RowOf<typeof approvals>;

/** Where an approval stands: as it is written, or that its time ran out. */
export type ApprovalStanding = ApprovalRow["state"] | "expired";

type Key = { readonly tenantId: string; readonly approvalId: string };
type Listing = { tenantId: string; state: string; now: Date };

const isThis = (s: Building<Key>) => {
  const t = s.table(approvals);
  return and(eq(t.tenantId, s.param("tenantId", t.tenantId)), eq(t.approvalId, s.param("approvalId", t.approvalId)));
};

const statements = {
  insert: insert(approvals),
  find: select(approvals, whereEquals(approvals, "tenantId", "approvalId")),
  listOpen: select(
    approvals,
    whereAll(whereEquals(approvals, "tenantId", "userId"), whereIn(approvals, "state", "pending"), isInTime(approvals)),
  ),
  listGranted: select(
    approvals,
    whereAll(
      whereEquals(approvals, "tenantId", "requesterId"),
      whereIn(approvals, "state", "granted"),
      isInTime(approvals),
      (s) => isNull(s.table(approvals).useTime),
    ),
  ),
  use: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(approvals);
    return s.db
      .update(t)
      .set({ useTime: s.param("now", t.useTime) })
      .where(and(isThis(s), eq(t.state, "granted"), isNull(t.useTime), gt(t.expireTime, s.param("now", t.expireTime))))
      .returning({ approvalId: t.approvalId });
  }),
  giveBack: statement((s: Building<Key>) => {
    const t = s.table(approvals);
    return s.db.update(t).set({ useTime: null }).where(isThis(s)).returning({ approvalId: t.approvalId });
  }),
  decide: rewriting(
    approvals,
    statement((s: Building<WithMac<ApprovalRow> & { now: Date }>) => {
      const t = s.table(approvals);
      return s.db
        .update(t)
        .set(setParams(s, t, "state", "deciderId", "decideReason", "decideTime", "boundMac"))
        .where(and(isThis(s), eq(t.state, "pending"), gt(t.expireTime, s.param("now", t.expireTime))))
        .returning() as PromiseLike<ApprovalRow[]>;
    }),
  ),
  list: reading(
    approvals,
    statement((s: Building<Listing & PageParams>) => {
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
  ),
};

/** A tenant's approvals. */
export const approvalRepository = (tx: Tx) => ({
  insert: (row: ApprovalRow) => tx.run(statements.insert, row),
  find: async (key: Key) => (await tx.run(statements.find, key))[0],
  /** What waits about a user. */
  listOpen: (owner: Owner, now: Date) => tx.run(statements.listOpen, { ...owner, now }),
  /** What was granted to an administrator and not used yet. */
  listGranted: (of: { tenantId: string; requesterId: string; now: Date }) => tx.run(statements.listGranted, of),
  /** Uses a granted one up: true for exactly one of any number of callers. */
  use: async (key: Key, now: Date) => (await tx.run(statements.use, { ...key, now })).length === 1,
  /** Lets a used one be used again, by who has used it. */
  giveBack: (key: Key) => tx.run(statements.giveBack, key),
  /** Pending to decided: a row for exactly one of any number of callers, and none once its time ran out. */
  decide: async (decided: ApprovalRow, now: Date) => (await tx.run(statements.decide, { ...decided, now }))[0],
  /** A page, newest first; an empty state stands for all. */
  list: async (
    of: { tenantId: string; state: ApprovalStanding | ""; now: Date },
    { position, size }: { position: Position; size: number },
  ) => {
    const rows = await tx.run(statements.list, { ...of, ...pagedBack(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.approvalId }));
  },
});
