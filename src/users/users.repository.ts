import { and, asc, eq, gt, sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { having } from "../db/conditions.ts";
import { select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { topicOf } from "./user-topic.ts";
import { users } from "./users.table.ts";

const upsert = (step: 0 | 1) =>
  statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(users);
    const updateTime = s.param("now", t.updateTime);
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        userId: s.param("userId", t.userId),
        mfaEpoch: step,
        updateTime,
      })
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId],
        // Waits for the row either way; only a change of factors dates it.
        set: { mfaEpoch: sql`${t.mfaEpoch} + ${step}`, ...(step === 1 && { updateTime }) },
      })
      .returning({ mfaEpoch: t.mfaEpoch });
  });

const isUser = having(users, "tenantId", "userId");

const statements = {
  coolDown: statement((s: Building<Owner & { until: Date }>) => {
    const t = s.table(users);
    return s.db
      .update(t)
      .set({ coolDownUntilTime: s.param("until", t.coolDownUntilTime) })
      .where(isUser(s))
      .returning({ userId: t.userId });
  }),
  serialise: upsert(0),
  bumpEpoch: upsert(1),
  find: select(users, isUser),
  list: statement((s: Building<{ tenantId: string; after: string; limit: number }>) => {
    const t = s.table(users);
    return s.db
      .select({ userId: t.userId })
      .from(t)
      .where(and(eq(t.tenantId, s.param("tenantId", t.tenantId)), gt(t.userId, s.param("after", t.userId))))
      .orderBy(asc(t.userId))
      .limit(s.limit("limit"));
  }),
  choose: statement((s: Building<Owner & { factorId: string }>) => {
    const t = s.table(users);
    return s.db
      .update(t)
      .set({ primaryFactorId: s.param("factorId", t.primaryFactorId) })
      .where(isUser(s))
      .returning({ userId: t.userId });
  }),
};

/** The user's own row. */
export const userRepository = (tx: Tx) => ({
  /**
   * Makes concurrent units of this user wait for each other: run it first where several statements must agree. Answers
   * the epoch, which stands still until the unit ends.
   */
  serialise: async (owner: Owner, now: Date): Promise<number> =>
    (await tx.run(statements.serialise, { ...owner, now }))[0]?.mfaEpoch ?? 0,
  find: async (owner: Owner) => (await tx.run(statements.find, owner))[0],
  /** The user's present epoch; 0 of one who is not known. */
  epoch: async (owner: Owner): Promise<number> => (await tx.run(statements.find, owner))[0]?.mfaEpoch ?? 0,
  /** The ids of a tenant's known users behind one, in the engine's own order. */
  list: async (tenantId: string, after: string, limit: number) =>
    (await tx.run(statements.list, { tenantId, after, limit })).map(({ userId }) => userId),
  /** Makes a factor the user's first choice; the unit has serialised the user. */
  choose: (owner: Owner, factorId: string) => tx.run(statements.choose, { ...owner, factorId }),
  /** Keeps the user from enrolling until then; the unit has serialised the user. */
  coolDown: (owner: Owner, until: Date) => tx.run(statements.coolDown, { ...owner, until }),
  /** Marks a change of the user's factors, which ends what was open or trusted before it; answers the new epoch. */
  async bumpEpoch(owner: Owner, now: Date): Promise<number> {
    tx.announce(topicOf(owner));
    const [row] = await tx.run(statements.bumpEpoch, { ...owner, now });
    return row?.mfaEpoch ?? 0;
  },
});
