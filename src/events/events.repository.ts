import { and, asc, desc, eq, gt, gte, isNotNull, isNull, lt, lte, or, sql } from "drizzle-orm";
import { whereEquals } from "../db/conditions.ts";
import { insert } from "../db/rows.ts";
import { insertSet } from "../db/sets.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { events } from "./events.table.ts";

/** A row of the table. */
export type EventRow = ReturnType<typeof events>["$inferSelect"];

/** Sequenced events of a tenant after one sequence number up to another; of one user, if named. */
export type EventRange = {
  readonly tenantId: string;
  readonly after: number;
  readonly through: number;
  readonly userId: string;
  /** From `typesOf`. */
  readonly types: string;
  readonly since: Date;
  readonly limit: number;
};

/** Types as a parameter: each between commas; empty for all. */
export const typesOf = (types: readonly EventRow["type"][]): string => (types.length > 0 ? `,${types.join()},` : "");

/** What may have ended: what was open for a user under an epoch, between two times. */
type Ending = { tenantId: string; userId: string; epoch: number; since: Date; until: Date };

const isTenant = whereEquals(events, "tenantId");

const insertAll = insertSet<ReturnType<typeof events>, EventRow>(events);

const statements = {
  insert: insert(events),
  listUnplaced: statement((s: Building<{ after: string; limit: number }>) => {
    const t = s.table(events);
    return s.db
      .selectDistinct({ tenantId: t.tenantId })
      .from(t)
      .where(and(isNull(t.position), gt(t.tenantId, s.param("after", t.tenantId))))
      .orderBy(asc(t.tenantId))
      .limit(s.limit("limit"));
  }),
  findUnplaced: statement((s: Building<{ tenantId: string }>) => {
    const t = s.table(events);
    return s.db
      .select({ eventId: t.eventId })
      .from(t)
      .where(and(isTenant(s), isNull(t.position)))
      .limit(1);
  }),
  findLastPlace: statement((s: Building<{ tenantId: string }>) => {
    const t = s.table(events);
    return s.db
      .select({ position: t.position })
      .from(t)
      .where(and(isTenant(s), isNotNull(t.position)))
      .orderBy(desc(t.position))
      .limit(1);
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
    // The condition on a missing sequence number stands inside only: PostgreSQL expects almost no such event and would
    // compare each with each. No other unit gives numbers meanwhile, since this one holds the stream's lock.
    return s.db
      .update(t)
      .set({ position: sql`${s.param("after", t.position)} + ${due.place}` })
      .from(due)
      .where(and(isTenant(s), eq(t.eventId, due.eventId)))
      .returning({ position: t.position });
  }),
  list: statement((s: Building<EventRange>) => {
    const t = s.table(events);
    const userId = s.param("userId", t.userId);
    const types = s.param("types", t.userId);
    return s.db
      .select()
      .from(t)
      .where(
        and(
          isTenant(s),
          gt(t.position, s.param("after", t.position)),
          lte(t.position, s.param("through", t.position)),
          or(sql`${userId} = ''`, eq(t.userId, userId)),
          or(sql`${types} = ''`, sql`${types} like '%,' || ${t.type} || ',%'`),
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
  /** Whatever ended what was open for a user: a lock, or a change of factors beyond an epoch. */
  findEnding: statement((s: Building<Ending>) => {
    const t = s.table(events);
    const isEnding = or(eq(t.type, "USER_LOCKED"), gt(t.mfaEpoch, s.param("epoch", t.mfaEpoch)));
    return s.db
      .select({ eventId: t.eventId })
      .from(t)
      .where(
        and(
          isTenant(s),
          eq(t.userId, s.param("userId", t.userId)),
          isEnding,
          gte(t.createTime, s.param("since", t.createTime)),
          lt(t.createTime, s.param("until", t.createTime)),
        ),
      )
      .limit(1);
  }),
  listTimes: statement((s: Building<{ tenantId: string; after: number; limit: number }>) => {
    const t = s.table(events);
    return s.db
      .select({ position: t.position, createTime: t.createTime })
      .from(t)
      .where(and(isTenant(s), gt(t.position, s.param("after", t.position))))
      .orderBy(asc(t.position))
      .limit(s.limit("limit"));
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
  insertAll: (rows: readonly EventRow[]) => insertAll(tx, rows),
  /** Tenants with events that have no place yet, behind one. */
  listUnplaced: (after: string, limit: number) => tx.run(statements.listUnplaced, { after, limit }),
  hasUnplaced: async (tenantId: string) => (await tx.run(statements.findUnplaced, { tenantId })).length > 0,
  /** The highest place of an event that is there; 0 without any. */
  findLastPlace: async (tenantId: string) => (await tx.run(statements.findLastPlace, { tenantId }))[0]?.position ?? 0,
  /** Gives the places after this one to events that have none; answers which were given. The unit holds the stream. */
  place: async (tenantId: string, after: number, limit: number) =>
    (await tx.run(statements.place, { tenantId, after, limit })).flatMap(({ position }) => position ?? []),
  /** In the order of their places. */
  list: (span: EventRange) => tx.run(statements.list, span),
  findFirstSince: async (tenantId: string, since: Date) =>
    (await tx.run(statements.findFirstSince, { tenantId, since }))[0]?.position ?? undefined,
  /** Whether something of a type happened to a user since, placed or not. */
  happened: async (owner: Owner, type: EventRow["type"], since: Date) =>
    (await tx.run(statements.findOfUser, { ...owner, type, since })).length > 0,
  /** Whether a lock or a change of factors beyond `epoch` ended what was open for a user, from `since` on and before `until`. */
  hasEnded: async (ending: Ending) => (await tx.run(statements.findEnding, ending)).length > 0,
  /** Places after one and the times of their events, in order. */
  listTimes: (tenantId: string, after: number, limit: number) =>
    tx.run(statements.listTimes, { tenantId, after, limit }),
  deleteThrough: async (tenantId: string, through: number) =>
    (await tx.run(statements.deleteThrough, { tenantId, through })).length,
});
