import { and, asc, desc, eq, gt, gte, isNotNull, isNull, lt, lte, or, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { having } from "../db/conditions.ts";
import { insert } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { events } from "./events.table.ts";

/** A row of the table. */
export type EventRow = ReturnType<typeof events>["$inferSelect"];

/** Placed events of a tenant after one place and up to another; of one user, if it is named. */
export type Span = {
  readonly tenantId: string;
  readonly after: number;
  readonly through: number;
  readonly userId: string;
  readonly since: Date;
  readonly limit: number;
};

const isTenant = having(events, "tenantId");

const statements = {
  insert: insert(events),
  listUnplaced: statement((s: Building<{ limit: number }>) => {
    const t = s.table(events);
    return s.db.selectDistinct({ tenantId: t.tenantId }).from(t).where(isNull(t.position)).limit(s.limit("limit"));
  }),
  place: statement((s: Building<{ tenantId: string; after: number; limit: number }>) => {
    const t = s.table(events);
    const due = s.db
      .select({
        eventId: t.eventId,
        // The one function beside `||` and `replace`: both engines have it alike, and it places a batch at once.
        place: sql<number>`row_number() over (order by ${t.eventId})`.as("place"),
      })
      .from(t)
      .where(and(isTenant(s), isNull(t.position)))
      .orderBy(asc(t.eventId))
      .limit(s.limit("limit"))
      .as("due");
    return s.db
      .update(t)
      .set({ position: sql`${s.param("after", t.position)} + ${due.place}` })
      .from(due)
      .where(and(isTenant(s), eq(t.eventId, due.eventId)))
      .returning({ position: t.position });
  }),
  list: statement((s: Building<Span>) => {
    const t = s.table(events);
    const userId = s.param("userId", t.userId);
    return s.db
      .select()
      .from(t)
      .where(
        and(
          isTenant(s),
          gt(t.position, s.param("after", t.position)),
          lte(t.position, s.param("through", t.position)),
          or(sql`${userId} = ''`, eq(t.userId, userId)),
          gte(t.createTime, s.param("since", t.createTime)),
        ),
      )
      .orderBy(asc(t.position))
      .limit(s.limit("limit"));
  }),
  findFirstSince: statement((s: Building<{ tenantId: string; since: Date }>) => {
    const t = s.table(events);
    return s.db
      .select({ position: t.position })
      .from(t)
      .where(and(isTenant(s), isNotNull(t.position), gte(t.createTime, s.param("since", t.createTime))))
      .orderBy(asc(t.createTime), asc(t.eventId))
      .limit(1);
  }),
  findOfUser: statement((s: Building<{ tenantId: string; userId: string; type: EventRow["type"]; since: Date }>) => {
    const t = s.table(events);
    return s.db
      .select({ eventId: t.eventId })
      .from(t)
      .where(
        and(
          isTenant(s),
          eq(t.userId, s.param("userId", t.userId)),
          eq(t.type, s.param("type", t.type)),
          gte(t.createTime, s.param("since", t.createTime)),
        ),
      )
      .limit(1);
  }),
  findLastBefore: statement((s: Building<{ tenantId: string; time: Date }>) => {
    const t = s.table(events);
    return s.db
      .select({ position: t.position, createTime: t.createTime })
      .from(t)
      .where(and(isTenant(s), isNotNull(t.position), lt(t.createTime, s.param("time", t.createTime))))
      .orderBy(desc(t.createTime), desc(t.eventId))
      .limit(1);
  }),
  deleteThrough: statement((s: Building<{ tenantId: string; through: number }>) => {
    const t = s.table(events);
    return s.db
      .delete(t)
      .where(and(isTenant(s), lte(t.position, s.param("through", t.position))))
      .returning({ position: t.position });
  }),
};

/** The outbox of events. */
export const eventRepository = (tx: Tx) => ({
  insert: (row: EventRow) => tx.run(statements.insert, row),
  /** Tenants with events that have no place yet. */
  listUnplaced: (limit: number) => tx.run(statements.listUnplaced, { limit }),
  /** Gives the places after this one to events that have none; says to how many. The unit holds the stream. */
  place: async (tenantId: string, after: number, limit: number) =>
    (await tx.run(statements.place, { tenantId, after, limit })).length,
  /** In the order of their places. */
  list: (span: Span) => tx.run(statements.list, span),
  findFirstSince: async (tenantId: string, since: Date) =>
    (await tx.run(statements.findFirstSince, { tenantId, since }))[0]?.position ?? undefined,
  /** Whether something of a type happened to a user since, placed or not. */
  happened: async (owner: Owner, type: EventRow["type"], since: Date) =>
    (await tx.run(statements.findOfUser, { ...owner, type, since })).length > 0,
  findLastBefore: async (tenantId: string, time: Date) =>
    (await tx.run(statements.findLastBefore, { tenantId, time }))[0],
  deleteThrough: async (tenantId: string, through: number) =>
    (await tx.run(statements.deleteThrough, { tenantId, through })).length,
});
