import { and, eq, gt, gte, isNull, or, sql } from "drizzle-orm";
import { newId } from "../core/id.ts";
import { type RowOf, reading, rewriting, unchecked, type WithMac, writing } from "../db/bound-rows.ts";
import { whereAll, whereEquals } from "../db/conditions.ts";
import { deleteEnded } from "../db/ended.ts";
import { type PageAsked, select, selectPage, setParams } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { attempts, type Counter } from "./attempts.table.ts";

/** The key of a user's counter. */
export type Count = Owner & { readonly counter: Counter };
/** A row of the table. */
export type AttemptsRow = RowOf<typeof attempts>;

/** What the MAC of a count is over: whose it is, and until when it locks. */
type Lock = WithMac<Count & Pick<AttemptsRow, "lockExpireTime">>;

const UNLOCKED = { lockExpireTime: null };

const isOwners = whereEquals(attempts, "tenantId", "userId");
const isCount = whereEquals(attempts, "tenantId", "userId", "counter");

const isLocked = (s: Building<{ now: Date }>) => {
  const t = s.table(attempts);
  return gt(t.lockExpireTime, s.param("now", t.lockExpireTime));
};

/** No lock has begun since `seen`, the time of the previous one. */
const isUnlockedSince = (s: Building<{ seen: Date }>) => {
  const t = s.table(attempts);
  return or(isNull(t.lockTime), eq(t.lockTime, s.param("seen", t.lockTime)));
};

const newestLock = { time: "updateTime", id: "countId", newestFirst: true } as const;

const statements = {
  hit: rewriting(
    attempts,
    statement((s: Building<Lock & { countId: string; mark: string; now: Date }>) => {
      const t = s.table(attempts);
      const now = s.param("now", t.updateTime);
      return s.db
        .insert(t)
        .values({
          tenantId: s.param("tenantId", t.tenantId),
          userId: s.param("userId", t.userId),
          counter: s.param("counter", t.counter),
          countId: s.param("countId", t.countId),
          failures: 1,
          consecutiveFailures: 1,
          locks: 0,
          recent: s.param("mark", t.recent),
          updateTime: now,
          boundMac: s.param("boundMac", t.boundMac),
        })
        .onConflictDoUpdate({
          target: [t.tenantId, t.userId, t.counter],
          // A lock that is over stays as it was written, so that its MAC can be checked.
          set: {
            failures: sql`${t.failures} + 1`,
            consecutiveFailures: sql`${t.consecutiveFailures} + 1`,
            recent: sql`${t.recent} || ${s.param("mark", t.recent)}`,
            updateTime: now,
          },
          setWhere: sql`${t.lockExpireTime} is null or ${t.lockExpireTime} <= ${s.param("now", t.lockExpireTime)}`,
        })
        .returning() as PromiseLike<AttemptsRow[]>;
    }),
  ),
  endLock: writing(
    attempts,
    statement((s: Building<Lock>) => {
      const t = s.table(attempts);
      return s.db
        .update(t)
        .set(setParams(s, t, "lockExpireTime", "boundMac"))
        .where(isCount(s))
        .returning({ counter: t.counter });
    }),
  ),
  keepRecent: statement((s: Building<Count & { recent: string }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ recent: s.param("recent", t.recent) })
      .where(isCount(s))
      .returning({ counter: t.counter });
  }),
  lock: writing(
    attempts,
    statement((s: Building<Lock>) => {
      const t = s.table(attempts);
      return s.db
        .update(t)
        .set({ failures: 0, locks: sql`${t.locks} + 1`, ...setParams(s, t, "lockExpireTime", "boundMac") })
        .where(isCount(s))
        .returning({ locks: t.locks });
    }),
  ),
  noteWrong: reading(
    attempts,
    statement((s: Building<Count & { mark: string; wrong: string }>) => {
      const t = s.table(attempts);
      const [mark, wrong] = [s.param("mark", t.recent), s.param("wrong", t.recent)];
      return s.db
        .update(t)
        .set({ recent: sql`replace(${t.recent}, ${mark}, ${wrong})` })
        .where(isCount(s))
        .returning() as PromiseLike<AttemptsRow[]>;
    }),
  ),
  noteLock: statement((s: Building<Count & { now: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ lockTime: s.param("now", t.lockTime) })
      .where(isCount(s))
      .returning({ counter: t.counter });
  }),
  lockAtOnce: writing(
    attempts,
    statement((s: Building<Lock & { countId: string; now: Date }>) => {
      const t = s.table(attempts);
      const now = s.param("now", t.updateTime);
      const [end, mac] = [s.param("lockExpireTime", t.lockExpireTime), s.param("boundMac", t.boundMac)];
      const isLonger = sql`${t.lockExpireTime} is not null and ${t.lockExpireTime} > ${end}`;
      return s.db
        .insert(t)
        .values({
          tenantId: s.param("tenantId", t.tenantId),
          userId: s.param("userId", t.userId),
          counter: s.param("counter", t.counter),
          countId: s.param("countId", t.countId),
          failures: 0,
          consecutiveFailures: 0,
          locks: 0,
          recent: "",
          lockExpireTime: end,
          lockTime: s.param("now", t.lockTime),
          updateTime: now,
          boundMac: mac,
        })
        .onConflictDoUpdate({
          target: [t.tenantId, t.userId, t.counter],
          set: {
            lockExpireTime: sql`case when ${isLonger} then ${t.lockExpireTime} else ${end} end`,
            boundMac: sql`case when ${isLonger} then ${t.boundMac} else ${mac} end`,
            lockTime: s.param("now", t.lockTime),
            updateTime: sql`case when ${isLonger} then ${t.updateTime} else ${now} end`,
          },
        })
        .returning({ counter: t.counter });
    }),
  ),
  moveLock: writing(
    attempts,
    statement((s: Building<Lock & { began: Date; now: Date }>) => {
      const t = s.table(attempts);
      return s.db
        .update(t)
        .set({ updateTime: s.param("now", t.updateTime), ...setParams(s, t, "lockExpireTime", "boundMac") })
        .where(and(isCount(s), eq(t.updateTime, s.param("began", t.updateTime))))
        .returning({ lockTime: t.lockTime });
    }),
  ),
  find: select(attempts, isCount),
  list: select(attempts, isOwners),
  listStored: unchecked(select(attempts, isOwners)),
  listLockedSince: statement((s: Building<Owner & { since: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .select({ counter: t.counter })
      .from(t)
      .where(and(isOwners(s), gte(t.lockTime, s.param("since", t.lockTime))));
  }),
  listLocked: selectPage(attempts, whereAll(whereEquals(attempts, "tenantId"), isLocked), newestLock),
  deleteOnly: statement((s: Building<Count & { mark: string }>) => {
    const t = s.table(attempts);
    return s.db
      .delete(t)
      .where(and(isCount(s), eq(t.recent, s.param("mark", t.recent)), isNull(t.lockTime)))
      .returning({ counter: t.counter });
  }),
  takeBack: writing(
    attempts,
    statement((s: Building<Lock & { mark: string; seen: Date }>) => {
      const t = s.table(attempts);
      return s.db
        .update(t)
        .set({
          ...{ failures: 0, consecutiveFailures: 0, locks: 0 },
          recent: sql`replace(${t.recent}, ${s.param("mark", t.recent)}, '')`,
          ...setParams(s, t, "lockExpireTime", "boundMac"),
        })
        .where(and(isCount(s), isUnlockedSince(s)))
        .returning({ counter: t.counter });
    }),
  ),
  unlock: writing(
    attempts,
    statement((s: Building<Lock & { failures: number; lockedUntil: Date; seen: Date }>) => {
      const t = s.table(attempts);
      return s.db
        .update(t)
        .set({
          failures: s.param("failures", t.failures),
          locks: sql`${t.locks} - 1`,
          ...setParams(s, t, "lockExpireTime", "boundMac"),
        })
        .where(and(isCount(s), eq(t.lockExpireTime, s.param("lockedUntil", t.lockExpireTime)), isUnlockedSince(s)))
        .returning({ counter: t.counter });
    }),
  ),
  refund: statement((s: Building<Count & { mark: string }>) => {
    const t = s.table(attempts);
    // Another attempt may have locked or succeeded since, which begins at none.
    const lessOne = (column: typeof t.failures | typeof t.consecutiveFailures) =>
      sql`case when ${column} > 0 then ${column} - 1 else 0 end`;
    return s.db
      .update(t)
      .set({
        failures: lessOne(t.failures),
        consecutiveFailures: lessOne(t.consecutiveFailures),
        recent: sql`replace(${t.recent}, ${s.param("mark", t.recent)}, '')`,
      })
      .where(isCount(s))
      .returning({ counter: t.counter });
  }),
  purge: deleteEnded(attempts, "updateTime", (t, isPast) =>
    and(
      sql`${t.failures} = 0 and ${t.consecutiveFailures} = 0`, // as the index has it
      or(isNull(t.lockExpireTime), isPast("lockExpireTime")),
      or(isNull(t.lockTime), isPast("lockTime")),
    ),
  ),
  clear: writing(
    attempts,
    statement((s: Building<Lock>) => {
      const t = s.table(attempts);
      return s.db
        .update(t)
        .set({ failures: 0, consecutiveFailures: 0, locks: 0, ...setParams(s, t, "lockExpireTime", "boundMac") })
        .where(isCount(s))
        .returning({ counter: t.counter });
    }),
  ),
};

/** The counters of users' failed attempts. */
export const attemptRepository = (tx: Tx) => ({
  /** Counts an attempt in one statement. Undefined while the user is locked: then nothing is counted. */
  hit: async (count: Count, mark: string, now: Date) =>
    (await tx.run(statements.hit, { ...count, ...UNLOCKED, mark, now, countId: newId() }))[0],
  /** Forgets a lock that is over, whose row was read in this unit. */
  endLock: (count: Count) => tx.run(statements.endLock, { ...count, ...UNLOCKED }),
  /** Drops the marks that are older than a day, in the unit that counted. */
  keepRecent: (count: Count, recent: string) => tx.run(statements.keepRecent, { ...count, recent }),
  /** Locks the user and starts the next count. */
  lock: (count: Count, lockExpireTime: Date) => tx.run(statements.lock, { ...count, lockExpireTime }),
  /** Notes that an attempt was found wrong; answers the count as it stands then. */
  noteWrong: async (count: Count, mark: string, wrong: string) =>
    (await tx.run(statements.noteWrong, { ...count, mark, wrong }))[0],
  /** The attempts that locked have all failed: what was open at `now` is dead. */
  noteLock: (count: Count, now: Date) => tx.run(statements.noteLock, { ...count, now }),
  /** Locks the user until then at least, whatever was counted: what was open at `now` is dead. */
  lockAtOnce: (count: Count, lockExpireTime: Date, now: Date) =>
    tx.run(statements.lockAtOnce, { ...count, lockExpireTime, now, countId: newId() }),
  /** Has a lock begin at `now` that began at `began`, unless it was moved or ended since. */
  moveLock: async (count: Count, began: Date, now: Date, lockExpireTime: Date) => {
    const [moved] = await tx.run(statements.moveLock, { ...count, began, now, lockExpireTime });
    // What is begun from here on is begun after the lock.
    if (moved?.lockTime) await tx.run(statements.noteLock, { ...count, now });
  },
  find: async (count: Count) => (await tx.run(statements.find, count))[0],
  /** All counts of a user. */
  list: (owner: Owner) => tx.run(statements.list, owner),
  /** All counts of a user as they are stored, by whomever: for who is about to clear them. */
  listStored: (owner: Owner) => tx.run(statements.listStored, owner),
  /** The counts that locked the user at `since` or later. */
  listLockedSince: (owner: Owner, since: Date) => tx.run(statements.listLockedSince, { ...owner, since }),
  /** A page of the counts of a tenant that lock at `now`, newest lock first. */
  listLocked: (tenantId: string, { now, ...page }: PageAsked & { readonly now: Date }) =>
    statements.listLocked(tx, { tenantId, now }, page),
  /**
   * Takes back an attempt that was right, and with it the failures in a row and a lock that is not in force yet. The
   * day's others stay. A lock that has come into force since `seen` stays too, with what it was counted by.
   */
  settle: async (count: Count, mark: string, seen: Date) => {
    // Nothing else was counted today, as ever but for a few: no row is left.
    if ((await tx.run(statements.deleteOnly, { ...count, mark })).length > 0) return;
    const taken = await tx.run(statements.takeBack, { ...count, ...UNLOCKED, mark, seen });
    if (taken.length === 0) await tx.run(statements.refund, { ...count, mark });
  },
  /** Ends the very lock that ends at `lockedUntil`, unless one came into force since, and goes on with its count. */
  unlock: (count: Count, lock: { failures: number; lockedUntil: Date; seen: Date }) =>
    tx.run(statements.unlock, { ...count, ...UNLOCKED, ...lock }),
  /** Takes back one attempt and nothing else. */
  refund: (count: Count, mark: string) => tx.run(statements.refund, { ...count, mark }),
  /** Forgets some counts that nothing was added to since then and that count nothing; says how many. */
  purge: async (before: Date, limit: number) => (await tx.run(statements.purge, { before, limit })).length,
  /** Forgets all failures and ends the lock. */
  clear: (count: Count) => tx.run(statements.clear, { ...count, ...UNLOCKED }),
});
