import { and, asc, eq, gt, sql } from "drizzle-orm";
import { whereEquals } from "../db/conditions.ts";
import { select } from "../db/rows.ts";
import { isOfUsers, ofRow, runForAll, type SetOfUsers, statementOfSet, type Users, upTo } from "../db/sets.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { topicOf } from "./user-topic.ts";
import { users } from "./users.table.ts";

const upsert = (step: 0 | 1, endsTokens = false) =>
  statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(users);
    const updateTime = s.param("now", t.updateTime);
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        userId: s.param("userId", t.userId),
        mfaEpoch: step,
        ...(endsTokens && { tokensEpoch: step }),
        updateTime,
      })
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId],
        // Locks the row in either case; only a change of factors updates its time.
        set: {
          mfaEpoch: sql`${t.mfaEpoch} + ${step}`,
          ...(endsTokens && { tokensEpoch: sql`${t.mfaEpoch} + ${step}` }),
          ...(step === 1 && { updateTime }),
        },
      })
      .returning({ mfaEpoch: t.mfaEpoch });
  });

const isUser = whereEquals(users, "tenantId", "userId");

const serialiseAll = statementOfSet((size) =>
  statement((s: Building<Record<string, unknown>>) => {
    const t = s.table(users);
    const values = upTo(size).map((n) => ({
      tenantId: ofRow(s, n, "tenantId", t.tenantId),
      userId: ofRow(s, n, "userId", t.userId),
      mfaEpoch: 0,
      updateTime: ofRow(s, n, "updateTime", t.updateTime),
    }));
    return s.db
      .insert(t)
      .values(values)
      .onConflictDoUpdate({ target: [t.tenantId, t.userId], set: { mfaEpoch: sql`${t.mfaEpoch}` } })
      .returning({ userId: t.userId, coolDownUntilTime: t.coolDownUntilTime });
  }),
);

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
  bumpEpochAndEndTokens: upsert(1, true),
  bumpEpochs: statement((s: Building<SetOfUsers & { now: Date }>) => {
    const t = s.table(users);
    return s.db
      .update(t)
      .set({ mfaEpoch: sql`${t.mfaEpoch} + 1`, updateTime: s.param("now", t.updateTime) })
      .where(isOfUsers(users)(s as Building<SetOfUsers>))
      .returning({ userId: t.userId, mfaEpoch: t.mfaEpoch });
  }),
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
  /** The same for many users, in the order of their ids; answers until when resets keep them from enrolling. */
  serialiseAll: ({ tenantId, userIds }: Users, now: Date) =>
    serialiseAll(
      tx,
      [...userIds].sort().map((userId) => ({ tenantId, userId, updateTime: now })),
    ),
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
  /**
   * Marks a change of the user's factors, which ends what was open or trusted before it; answers the new epoch. One that
   * takes something away ends the user's tokens of this service too.
   */
  async bumpEpoch(owner: Owner, now: Date, { keepsTokens }: { readonly keepsTokens: boolean }): Promise<number> {
    tx.announce(topicOf(owner));
    const bump = keepsTokens ? statements.bumpEpoch : statements.bumpEpochAndEndTokens;
    const [row] = await tx.run(bump, { ...owner, now });
    return row?.mfaEpoch ?? 0;
  },
  /** For many users, whose units have serialised them, a change that adds to what they have; answers the new epochs by the users' ids. */
  async bumpEpochs({ tenantId, userIds }: Users, now: Date): Promise<ReadonlyMap<string, number>> {
    for (const userId of userIds) tx.announce(topicOf({ tenantId, userId }));
    const rows = await runForAll(tx, statements.bumpEpochs, userIds, { tenantId, now });
    return new Map(rows.map(({ userId, mfaEpoch }) => [userId, mfaEpoch]));
  },
});
