import { and, asc, count, eq, gte, isNotNull, lt, lte, sql } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { pushBlocks, pushChallenges } from "./push.table.ts";
import { isIn, type Window } from "./push-challenges.repository.ts";

const statements = {
  countByState: statement((s: Building<Window>) => {
    const t = s.table(pushChallenges);
    return s.db
      .select({ state: t.state, denyReason: t.denyReason, count: count() })
      .from(t)
      .where(isIn(s))
      .groupBy(t.state, t.denyReason);
  }),
  countExpired: statement((s: Building<Window & { now: Date }>) => {
    const t = s.table(pushChallenges);
    return s.db
      .select({ count: count() })
      .from(t)
      .where(and(isIn(s), eq(t.state, "pending"), lte(t.expireTime, s.param("now", t.expireTime))));
  }),
  countAnswered: statement((s: Building<Window>) => {
    const t = s.table(pushChallenges);
    return s.db
      .select({ count: count() })
      .from(t)
      .where(and(isIn(s), isNotNull(t.answerMs)));
  }),
  nthAnswer: statement((s: Building<Window & { offset: number }>) => {
    const t = s.table(pushChallenges);
    return s.db
      .select({ answerMs: t.answerMs })
      .from(t)
      .where(and(isIn(s), isNotNull(t.answerMs)))
      .orderBy(asc(t.answerMs))
      .limit(1)
      .offset(s.limit("offset"));
  }),
  block: statement((s: Building<Owner & { hour: Date }>) => {
    const t = s.table(pushBlocks);
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        userId: s.param("userId", t.userId),
        hour: s.param("hour", t.hour),
        count: 1,
      })
      .onConflictDoUpdate({ target: [t.tenantId, t.userId, t.hour], set: { count: sql`${t.count} + 1` } })
      .returning({ count: t.count });
  }),
  listBlocks: statement((s: Building<Window>) => {
    const t = s.table(pushBlocks);
    return s.db
      .select({ count: t.count })
      .from(t)
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          gte(t.hour, s.param("start", t.hour)),
          lt(t.hour, s.param("end", t.hour)),
        ),
      );
  }),
};

const HOUR_MS = 3_600_000;

/** What became of requests, counted. */
export const pushStatisticsRepository = (tx: Tx) => ({
  /** How many of a window stand so, by state and reason as they were written. */
  countByState: (window: Window) => tx.run(statements.countByState, window),
  /** How many of a window nobody answered in time. */
  countExpired: async (window: Window, now: Date) =>
    (await tx.run(statements.countExpired, { ...window, now }))[0]?.count ?? 0,
  /** The time that half of the answers of a window took at most; undefined without answers. */
  medianAnswerMs: async (window: Window): Promise<number | undefined> => {
    const answered = (await tx.run(statements.countAnswered, window))[0]?.count ?? 0;
    if (answered === 0) return undefined;
    const [middle] = await tx.run(statements.nthAnswer, { ...window, offset: Math.floor((answered - 1) / 2) });
    return middle?.answerMs ?? undefined;
  },
  /** Counts a request that the limits refused; answers how many of this user's this hour. */
  block: async (owner: Owner, now: Date) => {
    const hour = new Date(Math.floor(now.getTime() / HOUR_MS) * HOUR_MS);
    return (await tx.run(statements.block, { ...owner, hour }))[0]?.count ?? 0;
  },
  /** How many requests the limits refused in the hours that begin in a window. */
  countBlocked: async (window: Window) =>
    (await tx.run(statements.listBlocks, window)).reduce((sum, { count }) => sum + count, 0),
});
