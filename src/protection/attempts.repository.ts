import { and, eq, gt, gte, isNull, or, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import { all, having } from "../db/conditions.ts";
import { deleteEnded } from "../db/ended.ts";
import { type PageAsked, select, selectPage } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { attempts, type Counter } from "./attempts.table.ts";

/** One count of one user. */
export type Count = Owner & { readonly counter: Counter };
/** A row of the table. */
export type AttemptsRow = ReturnType<typeof attempts>["$inferSelect"];

const isOwners = having(attempts, "tenantId", "userId");
const isCount = having(attempts, "tenantId", "userId", "counter");

const isLocked = (s: Building<{ now: Date }>) => {
  const t = s.table(attempts);
  return gt(t.lockExpireTime, s.param("now", t.lockExpireTime));
};

const newestLock = { time: "updateTime", id: "countId", newestFirst: true } as const;

const statements = {
  hit: statement((s: Building<Count & { countId: string; mark: string; now: Date }>) => {
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
      })
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId, t.counter],
        set: {
          failures: sql`${t.failures} + 1`,
          consecutiveFailures: sql`${t.consecutiveFailures} + 1`,
          recent: sql`${t.recent} || ${s.param("mark", t.recent)}`,
          lockExpireTime: null,
          updateTime: now,
        },
        setWhere: sql`${t.lockExpireTime} is null or ${t.lockExpireTime} <= ${s.param("now", t.lockExpireTime)}`,
      })
      .returning({
        failures: t.failures,
        consecutiveFailures: t.consecutiveFailures,
        locks: t.locks,
        recent: t.recent,
      });
  }),
  keepRecent: statement((s: Building<Count & { recent: string }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ recent: s.param("recent", t.recent) })
      .where(isCount(s))
      .returning({ counter: t.counter });
  }),
  lock: statement((s: Building<Count & { lockExpireTime: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ failures: 0, locks: sql`${t.locks} + 1`, lockExpireTime: s.param("lockExpireTime", t.lockExpireTime) })
      .where(isCount(s))
      .returning({ locks: t.locks });
  }),
  noteLock: statement((s: Building<Count & { now: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ lockTime: s.param("now", t.lockTime) })
      .where(isCount(s))
      .returning({ counter: t.counter });
  }),
  lockAtOnce: statement((s: Building<Count & { countId: string; now: Date; lockExpireTime: Date }>) => {
    const t = s.table(attempts);
    const [now, end] = [s.param("now", t.updateTime), s.param("lockExpireTime", t.lockExpireTime)];
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
      })
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId, t.counter],
        set: { lockExpireTime: end, lockTime: s.param("now", t.lockTime), updateTime: now },
        setWhere: sql`${t.lockExpireTime} is null or ${t.lockExpireTime} < ${end}`,
      })
      .returning({ counter: t.counter });
  }),
  moveLock: statement((s: Building<Count & { began: Date; now: Date; lockExpireTime: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ updateTime: s.param("now", t.updateTime), lockExpireTime: s.param("lockExpireTime", t.lockExpireTime) })
      .where(and(isCount(s), eq(t.updateTime, s.param("began", t.updateTime))))
      .returning({ counter: t.counter });
  }),
  find: select(attempts, isCount),
  list: select(attempts, isOwners),
  listLockedSince: statement((s: Building<Owner & { since: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .select({ counter: t.counter })
      .from(t)
      .where(and(isOwners(s), gte(t.lockTime, s.param("since", t.lockTime))));
  }),
  listLocked: selectPage(attempts, all(having(attempts, "tenantId"), isLocked), newestLock),
  deleteOnly: statement((s: Building<Count & { mark: string }>) => {
    const t = s.table(attempts);
    return s.db
      .delete(t)
      .where(and(isCount(s), eq(t.recent, s.param("mark", t.recent)), isNull(t.lockTime)))
      .returning({ counter: t.counter });
  }),
  takeBack: statement((s: Building<Count & { mark: string }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({
        failures: 0,
        consecutiveFailures: 0,
        locks: 0,
        recent: sql`replace(${t.recent}, ${s.param("mark", t.recent)}, '')`,
        lockExpireTime: null,
      })
      .where(isCount(s))
      .returning({ counter: t.counter });
  }),
  unlock: statement((s: Building<Count & { failures: number; lockExpireTime: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ failures: s.param("failures", t.failures), locks: sql`${t.locks} - 1`, lockExpireTime: null })
      .where(and(isCount(s), eq(t.lockExpireTime, s.param("lockExpireTime", t.lockExpireTime))))
      .returning({ counter: t.counter });
  }),
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
      eq(t.failures, 0),
      eq(t.consecutiveFailures, 0),
      or(isNull(t.lockExpireTime), isPast("lockExpireTime")),
      or(isNull(t.lockTime), isPast("lockTime")),
    ),
  ),
  clear: statement((s: Building<Count>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ failures: 0, consecutiveFailures: 0, locks: 0, lockExpireTime: null })
      .where(isCount(s))
      .returning({ counter: t.counter });
  }),
};

/** The counters of users' failed attempts. */
export const attemptRepository = (tx: Tx) => ({
  /** Counts an attempt in one statement. Undefined while the user is locked: then nothing is counted. */
  hit: async (count: Count, mark: string, now: Date) =>
    (await tx.run(statements.hit, { ...count, mark, now, countId: newId() }))[0],
  /** Drops the marks that are older than a day, in the unit that counted. */
  keepRecent: (count: Count, recent: string) => tx.run(statements.keepRecent, { ...count, recent }),
  /** Locks the user and starts the next count. */
  lock: (count: Count, lockExpireTime: Date) => tx.run(statements.lock, { ...count, lockExpireTime }),
  /** The attempt that locked has failed: what was open at `now` is dead. */
  noteLock: (count: Count, now: Date) => tx.run(statements.noteLock, { ...count, now }),
  /** Locks the user until then, whatever was counted, unless they are locked for longer. */
  lockAtOnce: (count: Count, lockExpireTime: Date, now: Date) =>
    tx.run(statements.lockAtOnce, { ...count, lockExpireTime, now, countId: newId() }),
  /** Has a lock begin at `now` that began at `began`, unless it was moved or ended since. */
  moveLock: (count: Count, began: Date, now: Date, lockExpireTime: Date) =>
    tx.run(statements.moveLock, { ...count, began, now, lockExpireTime }),
  find: async (count: Count) => (await tx.run(statements.find, count))[0],
  /** All counts of a user. */
  list: (owner: Owner) => tx.run(statements.list, owner),
  /** The counts that locked the user at `since` or later. */
  listLockedSince: (owner: Owner, since: Date) => tx.run(statements.listLockedSince, { ...owner, since }),
  /** A page of the counts of a tenant that lock at `now`, newest lock first. */
  listLocked: (tenantId: string, { now, ...page }: PageAsked & { readonly now: Date }) =>
    statements.listLocked(tx, { tenantId, now }, page),
  /** Takes back an attempt that was right, and with it the failures in a row and the lock. The day's others stay. */
  settle: async (count: Count, mark: string) => {
    // Nothing else was counted today, as ever but for a few: no row is left.
    if ((await tx.run(statements.deleteOnly, { ...count, mark })).length > 0) return;
    await tx.run(statements.takeBack, { ...count, mark });
  },
  /** Ends the very lock that ends at `lockExpireTime`, and goes on with the count that led to it. */
  unlock: (count: Count, failures: number, lockExpireTime: Date) =>
    tx.run(statements.unlock, { ...count, failures, lockExpireTime }),
  /** Takes back one attempt and nothing else. */
  refund: (count: Count, mark: string) => tx.run(statements.refund, { ...count, mark }),
  /** Forgets some counts that nothing was added to since then and that count nothing; says how many. */
  purge: async (before: Date, limit: number) => (await tx.run(statements.purge, { before, limit })).length,
  /** Forgets all failures and ends the lock. */
  clear: (count: Count) => tx.run(statements.clear, count),
});
