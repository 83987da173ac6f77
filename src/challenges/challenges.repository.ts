import { and, eq } from "drizzle-orm";
import { type RowOf, reading, rewriting, type WithMac } from "../db/bound-rows.ts";
import { hasExpired, isInTime, whereAll, whereEquals, whereIn } from "../db/conditions.ts";
import { deleteRows, insert, select, setParams } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { challenges, type PartialProof, type ProofFacts, type TypeName } from "./challenges.table.ts";

/** A challenge as it is stored. */
export type ChallengeRow = RowOf<typeof challenges>;
/** The key of a challenge. */
export type ChallengeKey = Owner & { readonly challengeId: string };

/** A challenge with its new proof; `epoch` is the one that it must have been created under. */
type Proving = ChallengeRow & {
  readonly provenType: TypeName;
  readonly facts: ProofFacts;
  readonly proveTime: Date;
  readonly epoch: number;
  readonly now: Date;
};
type Adding = ChallengeRow & { readonly proofs: readonly PartialProof[]; readonly epoch: number; readonly now: Date };
type Moment = ChallengeKey & { now: Date };

const isOwners = whereEquals(challenges, "tenantId", "userId");
const isThis = whereEquals(challenges, "tenantId", "userId", "challengeId");
const isUnexpired = isInTime(challenges);
const isUnended = whereIn(challenges, "state", "pending", "proven");

/** Created under this epoch, so no change of factors has ended it. */
const isOfEpoch = (s: Building<{ epoch: number }>) => {
  const t = s.table(challenges);
  return eq(t.mfaEpoch, s.param("epoch", t.mfaEpoch));
};

const end = (state: "cancelled" | "denied") =>
  statement((s: Building<Moment>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({ state, updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), isUnended(s), isUnexpired(s)))
      .returning({ challengeId: t.challengeId });
  });

const statements = {
  insert: insert(challenges),
  find: select(challenges, isThis),
  listOpen: select(challenges, whereAll(isOwners, isUnended, isUnexpired)),
  deleteExpired: deleteRows(challenges, whereAll(isOwners, hasExpired(challenges))),
  prepare: reading(
    challenges,
    statement((s: Building<Moment & { preparedType: TypeName; preparedFactorId: string }>) => {
      const t = s.table(challenges);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "preparedType", "preparedFactorId"),
          updateTime: s.param("now", t.updateTime),
        })
        .where(and(isThis(s), eq(t.state, "pending"), isUnexpired(s)))
        .returning();
    }),
  ),
  prove: rewriting(
    challenges,
    statement((s: Building<WithMac<Proving>>) => {
      const t = s.table(challenges);
      const now = s.param("now", t.updateTime);
      return s.db
        .update(t)
        .set({
          state: "proven",
          ...setParams(s, t, "provenType", "provenFactorId", "facts", "proofs", "mfaEpoch", "proveTime", "expireTime"),
          ...setParams(s, t, "boundMac"),
          updateTime: now,
        })
        .where(and(isThis(s), eq(t.state, "pending"), isUnexpired(s), isOfEpoch(s)))
        .returning();
    }),
  ),
  addProof: rewriting(
    challenges,
    statement((s: Building<WithMac<Adding>>) => {
      const t = s.table(challenges);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "proofs", "mfaEpoch", "boundMac"),
          updateTime: s.param("now", t.updateTime),
        })
        .where(and(isThis(s), eq(t.state, "pending"), isUnexpired(s), isOfEpoch(s)))
        .returning();
    }),
  ),
  redeem: reading(
    challenges,
    statement((s: Building<Moment & { epoch: number }>) => {
      const t = s.table(challenges);
      return s.db
        .update(t)
        .set({ state: "redeemed", updateTime: s.param("now", t.updateTime) })
        .where(and(isThis(s), eq(t.state, "proven"), isUnexpired(s), isOfEpoch(s)))
        .returning();
    }),
  ),
  cancelAll: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({ state: "cancelled", updateTime: s.param("now", t.updateTime) })
      .where(and(isOwners(s), isUnended(s), isUnexpired(s)))
      .returning({ challengeId: t.challengeId });
  }),
  cancel: end("cancelled"),
  deny: end("denied"),
};

/** The challenges of users. */
export const challengeRepository = (tx: Tx) => ({
  insert: (row: ChallengeRow) => tx.run(statements.insert, row),
  find: async (key: ChallengeKey) => (await tx.run(statements.find, key))[0],
  /** Challenges that can still be proved or redeemed, unless a lock or a change of factors ended them. */
  listOpen: (owner: Owner, now: Date) => tx.run(statements.listOpen, { ...owner, now }),
  /** Deletes challenges that expired before. */
  deleteExpired: (owner: Owner, before: Date) => tx.run(statements.deleteExpired, { ...owner, now: before }),
  /** Stores the factor prepared last; returns undefined when the challenge is no longer pending. */
  prepare: async (key: ChallengeKey, prepared: { preparedType: TypeName; preparedFactorId: string }, now: Date) =>
    (await tx.run(statements.prepare, { ...key, ...prepared, now }))[0],
  /** Pending to proven: returns a row to exactly one of any number of callers. */
  prove: async (proving: Proving) => (await tx.run(statements.prove, proving))[0],
  /**
   * Stores one proof of several; returns undefined when the challenge is no longer pending. The unit has locked the
   * user's row.
   */
  addProof: async (adding: Adding) => (await tx.run(statements.addProof, adding))[0],
  /** Proven to redeemed: returns a row to exactly one of any number of callers. */
  redeem: async (key: ChallengeKey, epoch: number, now: Date) =>
    (await tx.run(statements.redeem, { ...key, epoch, now }))[0],
  /** Cancels all challenges that can still be proved or redeemed. */
  cancelAll: (owner: Owner, now: Date) => tx.run(statements.cancelAll, { ...owner, now }),
  cancel: async (key: ChallengeKey, now: Date) => (await tx.run(statements.cancel, { ...key, now })).length === 1,
  deny: async (key: ChallengeKey, now: Date) => (await tx.run(statements.deny, { ...key, now })).length === 1,
});
