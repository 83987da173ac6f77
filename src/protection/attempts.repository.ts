import { and, eq, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { attempts, type Counter } from "./attempts.table.ts";

/** One count of one user. */
export type Count = Owner & { readonly counter: Counter };

const isCount = (s: Building<Count>) => {
  const t = s.table(attempts);
  return and(
    eq(t.tenantId, s.param("tenantId", t.tenantId)),
    eq(t.userId, s.param("userId", t.userId)),
    eq(t.counter, s.param("counter", t.counter)),
  );
};

const statements = {
  hit: statement((s: Building<Count & { now: Date }>) => {
    const t = s.table(attempts);
    const now = s.param("now", t.updateTime);
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        userId: s.param("userId", t.userId),
        counter: s.param("counter", t.counter),
        failures: 1,
        locks: 0,
        updateTime: now,
      })
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId, t.counter],
        set: { failures: sql`${t.failures} + 1`, lockExpireTime: null, updateTime: now },
        setWhere: sql`${t.lockExpireTime} is null or ${t.lockExpireTime} <= ${s.param("now", t.lockExpireTime)}`,
      })
      .returning({ failures: t.failures, locks: t.locks });
  }),
  lock: statement((s: Building<Count & { lockExpireTime: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ failures: 0, locks: sql`${t.locks} + 1`, lockExpireTime: s.param("lockExpireTime", t.lockExpireTime) })
      .where(isCount(s))
      .returning({ locks: t.locks });
  }),
  find: statement((s: Building<Count>) => s.db.select().from(s.table(attempts)).where(isCount(s))),
  clear: statement((s: Building<Count>) => {
    const t = s.table(attempts);
    return s.db.delete(t).where(isCount(s)).returning({ userId: t.userId });
  }),
};

/** The counter of a user's failed attempts. */
export const attemptRepository = (tx: Tx) => ({
  /** Counts an attempt in one statement. Undefined while the user is locked: then nothing is counted. */
  hit: async (count: Count, now: Date) => (await tx.run(statements.hit, { ...count, now }))[0],
  /** Locks the user and starts the next count. */
  lock: (count: Count, lockExpireTime: Date) => tx.run(statements.lock, { ...count, lockExpireTime }),
  find: async (count: Count) => (await tx.run(statements.find, count))[0],
  /** Forgets failures and locks, after a success. */
  clear: (count: Count) => tx.run(statements.clear, count),
});
