import { and, eq, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { attempts } from "./attempts.table.ts";

const isOwner = (s: Building<Owner>) => {
  const t = s.table(attempts);
  return and(eq(t.tenantId, s.param("tenantId", t.tenantId)), eq(t.userId, s.param("userId", t.userId)));
};

const statements = {
  hit: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(attempts);
    const now = s.param("now", t.updateTime);
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        userId: s.param("userId", t.userId),
        failures: 1,
        locks: 0,
        updateTime: now,
      })
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId],
        set: { failures: sql`${t.failures} + 1`, lockExpireTime: null, updateTime: now },
        setWhere: sql`${t.lockExpireTime} is null or ${t.lockExpireTime} <= ${s.param("now", t.lockExpireTime)}`,
      })
      .returning({ failures: t.failures, locks: t.locks });
  }),
  lock: statement((s: Building<Owner & { lockExpireTime: Date }>) => {
    const t = s.table(attempts);
    return s.db
      .update(t)
      .set({ failures: 0, locks: sql`${t.locks} + 1`, lockExpireTime: s.param("lockExpireTime", t.lockExpireTime) })
      .where(isOwner(s))
      .returning({ locks: t.locks });
  }),
  find: statement((s: Building<Owner>) => s.db.select().from(s.table(attempts)).where(isOwner(s))),
  clear: statement((s: Building<Owner>) => {
    const t = s.table(attempts);
    return s.db.delete(t).where(isOwner(s)).returning({ userId: t.userId });
  }),
};

/** The counter of a user's failed attempts. */
export const attemptRepository = (tx: Tx) => ({
  /** Counts an attempt in one statement. Undefined while the user is locked: then nothing is counted. */
  hit: async (owner: Owner, now: Date) => (await tx.run(statements.hit, { ...owner, now }))[0],
  /** Locks the user and starts the next count. */
  lock: (owner: Owner, lockExpireTime: Date) => tx.run(statements.lock, { ...owner, lockExpireTime }),
  find: async (owner: Owner) => (await tx.run(statements.find, owner))[0],
  /** Forgets failures and locks, after a success. */
  clear: (owner: Owner) => tx.run(statements.clear, owner),
});
