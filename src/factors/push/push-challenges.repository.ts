import { and, desc, eq, gt, gte, inArray, lt, or, sql } from "drizzle-orm";
import { type RowOf, reading } from "../../db/bound-rows.ts";
import { isInTime, whereAll, whereEquals, whereIn } from "../../db/conditions.ts";
import { START } from "../../db/page.ts";
import { deleteRows, insert, type PageAsked, select, selectPage, setParams } from "../../db/rows.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { pushChallenges } from "./push.table.ts";

/** A row of the table. */
export type PushChallengeRow = RowOf<typeof pushChallenges>;
/** Which challenge. */
export type PushKey = Owner & { readonly pushId: string };
/** Where a challenge stands, with the ends that time makes. */
export type ShownState = PushChallengeRow["state"] | "expired";

type Moment = PushKey & { now: Date };
type Decision = Moment & {
  decidedDeviceId: string;
  answerMs: number;
};
/** The requests of a tenant that were made from one time on and before another. */
export type Window = { tenantId: string; start: Date; end: Date };

/** How many numbers are judged for one challenge. */
export const MAX_NUMBERS = 3;

const isOwner = whereEquals(pushChallenges, "tenantId", "userId");
const isThis = whereEquals(pushChallenges, "tenantId", "userId", "pushId");
const isOfChallenge = whereEquals(pushChallenges, "tenantId", "userId", "challengeId");

/** Can still be answered. */
const isPending = whereAll(whereIn(pushChallenges, "state", "pending"), isInTime(pushChallenges));

/** Can still be denied: also when it was replaced by another request for the same challenge. */
const isDeniable = (s: Building<{ now: Date }>) => {
  const t = s.table(pushChallenges);
  return and(inArray(t.state, ["pending", "cancelled"]), gt(t.expireTime, s.param("now", t.expireTime)));
};

/** Not made before. A page begins at the other end of its window: a second bound on the time would be the one that is looked for in the index. */
const isSince = (s: Building<{ start: Date }>) => {
  const t = s.table(pushChallenges);
  return gte(t.createTime, s.param("start", t.createTime));
};

/** Of this device, or of all. */
const isAsked = (s: Building<{ deviceId: string }>) => {
  const t = s.table(pushChallenges);
  return or(eq(t.deviceId, ""), eq(t.deviceId, s.param("deviceId", t.deviceId)));
};

/** In front of every id. */
const BEFORE_IDS = "!";

const newestFirst = { time: "createTime", id: "rowId", newestFirst: true } as const;

const statements = {
  insert: insert(pushChallenges),
  find: select(pushChallenges, isThis),
  listSince: statement((s: Building<Owner & { since: Date }>) => {
    const t = s.table(pushChallenges);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), gt(t.createTime, s.param("since", t.createTime))))
      .orderBy(desc(t.createTime), desc(t.rowId))
      .limit(50);
  }),
  // What phones show is what their users decide by.
  listPending: selectPage(
    pushChallenges,
    whereAll(isOwner, isPending, isAsked),
    { time: "createTime", id: "rowId" },
    { checked: true },
  ),
  // A statement each: one for both could use the index of neither.
  list: selectPage(pushChallenges, whereAll(isOwner, isSince), newestFirst),
  listOfTenant: selectPage(pushChallenges, whereAll(whereEquals(pushChallenges, "tenantId"), isSince), newestFirst),
  attempt: reading(
    pushChallenges,
    statement((s: Building<Moment>) => {
      const t = s.table(pushChallenges);
      return s.db
        .update(t)
        .set({ attempts: sql`${t.attempts} + 1` })
        .where(and(isThis(s), isPending(s), lt(t.attempts, MAX_NUMBERS)))
        .returning();
    }),
  ),
  noteWrong: statement((s: Building<Moment>) => {
    const t = s.table(pushChallenges);
    return s.db
      .update(t)
      .set({ wrongNumbers: sql`${t.wrongNumbers} + 1`, updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), eq(t.state, "pending")))
      .returning({ wrongNumbers: t.wrongNumbers });
  }),
  fail: reading(
    pushChallenges,
    statement((s: Building<Moment>) => {
      const t = s.table(pushChallenges);
      return s.db
        .update(t)
        .set({ state: "failed", numberDigest: null, updateTime: s.param("now", t.updateTime) })
        .where(and(isThis(s), eq(t.state, "pending"), gte(t.wrongNumbers, MAX_NUMBERS)))
        .returning();
    }),
  ),
  approve: reading(
    pushChallenges,
    statement((s: Building<Decision & { expireTime: Date }>) => {
      const t = s.table(pushChallenges);
      const now = s.param("now", t.updateTime);
      return s.db
        .update(t)
        .set({
          state: "approved",
          ...setParams(s, t, "decidedDeviceId", "answerMs", "expireTime"),
          numberDigest: null,
          decideTime: now,
          updateTime: now,
        })
        .where(and(isThis(s), isPending(s)))
        .returning();
    }),
  ),
  deny: reading(
    pushChallenges,
    statement((s: Building<Decision & { denyReason: "NOT_ME" | "MISTAKE" | "OTHER" }>) => {
      const t = s.table(pushChallenges);
      const now = s.param("now", t.updateTime);
      return s.db
        .update(t)
        .set({
          state: "denied",
          ...setParams(s, t, "denyReason", "decidedDeviceId", "answerMs"),
          numberDigest: null,
          decideTime: now,
          updateTime: now,
        })
        .where(and(isThis(s), isDeniable(s)))
        .returning();
    }),
  ),
  report: statement((s: Building<Moment & { since: Date }>) => {
    const t = s.table(pushChallenges);
    return s.db
      .update(t)
      .set({ denyReason: "NOT_ME", updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), eq(t.denyReason, ""), gt(t.createTime, s.param("since", t.createTime))))
      .returning({ pushId: t.pushId });
  }),
  cancel: statement((s: Building<Owner & { challengeId: string; now: Date }>) => {
    const t = s.table(pushChallenges);
    return s.db
      .update(t)
      .set({ state: "cancelled", numberDigest: null, updateTime: s.param("now", t.updateTime) })
      .where(and(isOfChallenge(s), eq(t.state, "pending")))
      .returning({ pushId: t.pushId });
  }),
  redeem: reading(
    pushChallenges,
    statement((s: Building<Owner & { challengeId: string; now: Date }>) => {
      const t = s.table(pushChallenges);
      return s.db
        .update(t)
        .set({ state: "redeemed", updateTime: s.param("now", t.updateTime) })
        .where(and(isOfChallenge(s), eq(t.state, "approved")))
        .returning();
    }),
  ),
  deleteAll: deleteRows(pushChallenges, isOwner),
};

type Page = PageAsked & { readonly now: Date };

/** Requests for approval. */
export const pushChallengeRepository = (tx: Tx) => ({
  insert: (row: PushChallengeRow) => tx.run(statements.insert, row),
  find: async (key: PushKey) => (await tx.run(statements.find, key))[0],
  /** The newest of a user, at most fifty, newest first. */
  listSince: (owner: Owner, since: Date) => tx.run(statements.listSince, { ...owner, since }),
  /** A page of what waits for a device, oldest first. */
  listPending: (owner: Owner & { deviceId: string }, { now, ...page }: Page) =>
    statements.listPending(tx, { ...owner, now }, page),
  /** A page of a window's, newest first: of one user, or of all where that is empty. */
  list: ({ userId, end, ...window }: Window & { userId: string }, { position, size }: PageAsked) => {
    const page = { position: position.id === START.id ? { time: end, id: BEFORE_IDS } : position, size };
    return userId === "" ? statements.listOfTenant(tx, window, page) : statements.list(tx, { ...window, userId }, page);
  },
  /** Lets one more number in to be judged; undefined when no more are, or it can be answered no more. */
  attempt: async (key: PushKey, now: Date) => (await tx.run(statements.attempt, { ...key, now }))[0],
  /** Notes that a number was wrong. */
  noteWrong: (key: PushKey, now: Date) => tx.run(statements.noteWrong, { ...key, now }),
  /** Ends it if too many numbers were wrong; undefined when they were not. */
  fail: async (key: PushKey, now: Date) => (await tx.run(statements.fail, { ...key, now }))[0],
  /** Pending to approved: a row for exactly one of any number of callers. */
  approve: async (decision: Decision & { expireTime: Date }) => (await tx.run(statements.approve, decision))[0],
  /** Pending to denied: a row for exactly one of any number of callers. */
  deny: async (decision: Decision & { denyReason: "NOT_ME" | "MISTAKE" | "OTHER" }) =>
    (await tx.run(statements.deny, decision))[0],
  /** Notes that the user never asked for it, however it ended: a row for the first time within `since`. */
  report: async (key: PushKey, { now, since }: { now: Date; since: Date }) =>
    (await tx.run(statements.report, { ...key, now, since }))[0],
  /** Ends what waits for the same generic challenge. */
  cancel: (owner: Owner, challengeId: string, now: Date) => tx.run(statements.cancel, { ...owner, challengeId, now }),
  /** Approved to redeemed, by the generic challenge: a row for exactly one of any number of callers. */
  redeem: async (owner: Owner, challengeId: string, now: Date) =>
    (await tx.run(statements.redeem, { ...owner, challengeId, now }))[0],
  /** Forgets all of a user's. */
  deleteAll: (owner: Owner) => tx.run(statements.deleteAll, owner),
});
