import { and, desc, eq, gt, gte, inArray, lt, lte, or, sql } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { all, being, having, isInTime } from "../../db/conditions.ts";
import { deleteRows, given, insert, type PageAsked, select, selectPage } from "../../db/rows.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { pushChallenges } from "./push.table.ts";

/** A row of the table. */
export type PushChallengeRow = ReturnType<typeof pushChallenges>["$inferSelect"];
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
type Filter = { state: string; now: Date };

/** How many numbers are judged for one challenge. */
export const MAX_NUMBERS = 3;

const isOwner = having(pushChallenges, "tenantId", "userId");
const isThis = having(pushChallenges, "tenantId", "userId", "pushId");
const isOfChallenge = having(pushChallenges, "tenantId", "userId", "challengeId");

/** Can still be answered. */
const isPending = all(being(pushChallenges, "state", "pending"), isInTime(pushChallenges));

/** Can still be denied: also when it was replaced by another request for the same challenge. */
const isDeniable = (s: Building<{ now: Date }>) => {
  const t = s.table(pushChallenges);
  return and(inArray(t.state, ["pending", "cancelled"]), gt(t.expireTime, s.param("now", t.expireTime)));
};

/**
 * Stands so at `now`, as far as its row says; an empty state stands for all. Among the cancelled ones are those that may
 * have been ended without their row being written.
 */
const stands = (s: Building<Filter>) => {
  const t = s.table(pushChallenges);
  const wanted = s.param("state", t.denyReason);
  const isOpen = inArray(t.state, ["pending", "approved"]);
  const isOver = lte(t.expireTime, s.param("now", t.expireTime));
  return or(
    sql`${wanted} = ''`,
    and(sql`${wanted} = 'expired'`, isOpen, isOver),
    and(sql`${wanted} = 'cancelled'`, isOpen, sql`not ${isOver}`),
    and(sql`${wanted} = ${t.state}`, sql`not (${isOpen} and ${isOver})`),
  );
};

/** Made in a window of time. */
export const isIn = (s: Building<Window>) => {
  const t = s.table(pushChallenges);
  return and(
    eq(t.tenantId, s.param("tenantId", t.tenantId)),
    gte(t.createTime, s.param("start", t.createTime)),
    lt(t.createTime, s.param("end", t.createTime)),
  );
};

/** Of this device, or of all. */
const isAsked = (s: Building<{ deviceId: string }>) => {
  const t = s.table(pushChallenges);
  return or(eq(t.deviceId, ""), eq(t.deviceId, s.param("deviceId", t.deviceId)));
};

/** Of this user; an empty one stands for all. */
const isWanted = (s: Building<{ userId: string }>) => {
  const t = s.table(pushChallenges);
  const userId = s.param("userId", t.userId);
  return or(sql`${userId} = ''`, eq(t.userId, userId));
};

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
  listPending: selectPage(pushChallenges, all(isOwner, isPending, isAsked), { time: "createTime", id: "rowId" }),
  list: selectPage(pushChallenges, all(isOwner, stands), newestFirst),
  listOfTenant: selectPage(pushChallenges, all(isIn, isWanted, stands), newestFirst),
  attempt: statement((s: Building<Moment>) => {
    const t = s.table(pushChallenges);
    return s.db
      .update(t)
      .set({ attempts: sql`${t.attempts} + 1` })
      .where(and(isThis(s), isPending(s), lt(t.attempts, MAX_NUMBERS)))
      .returning();
  }),
  noteWrong: statement((s: Building<Moment>) => {
    const t = s.table(pushChallenges);
    return s.db
      .update(t)
      .set({ wrongNumbers: sql`${t.wrongNumbers} + 1`, updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), eq(t.state, "pending")))
      .returning({ wrongNumbers: t.wrongNumbers });
  }),
  fail: statement((s: Building<Moment>) => {
    const t = s.table(pushChallenges);
    return s.db
      .update(t)
      .set({ state: "failed", numberDigest: null, updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), eq(t.state, "pending"), gte(t.wrongNumbers, MAX_NUMBERS)))
      .returning();
  }),
  approve: statement((s: Building<Decision & { expireTime: Date }>) => {
    const t = s.table(pushChallenges);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({
        state: "approved",
        ...given(s, t, "decidedDeviceId", "answerMs", "expireTime"),
        numberDigest: null,
        decideTime: now,
        updateTime: now,
      })
      .where(and(isThis(s), isPending(s)))
      .returning();
  }),
  deny: statement((s: Building<Decision & { denyReason: "NOT_ME" | "MISTAKE" | "OTHER" }>) => {
    const t = s.table(pushChallenges);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({
        state: "denied",
        ...given(s, t, "denyReason", "decidedDeviceId", "answerMs"),
        numberDigest: null,
        decideTime: now,
        updateTime: now,
      })
      .where(and(isThis(s), isDeniable(s)))
      .returning();
  }),
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
  redeem: statement((s: Building<Owner & { challengeId: string; now: Date }>) => {
    const t = s.table(pushChallenges);
    return s.db
      .update(t)
      .set({ state: "redeemed", updateTime: s.param("now", t.updateTime) })
      .where(and(isOfChallenge(s), eq(t.state, "approved")))
      .returning();
  }),
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
  /** A page of a user's, newest first; an empty state stands for all. */
  list: (owner: Owner, state: ShownState | "", { now, ...page }: Page) =>
    statements.list(tx, { ...owner, state, now }, page),
  /** A page of a tenant's, newest first; an empty user or state stands for all. */
  listOfTenant: (window: Window & { userId: string }, state: ShownState | "", { now, ...page }: Page) =>
    statements.listOfTenant(tx, { ...window, state, now }, page),
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
