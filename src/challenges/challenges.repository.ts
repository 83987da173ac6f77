import { and, eq } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { all, being, hasExpired, having, isInTime } from "../db/conditions.ts";
import { deleteRows, given, insert, select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { challenges, type Facts, type PartialProof, type TypeName } from "./challenges.table.ts";

/** A challenge as it is stored. */
export type ChallengeRow = ReturnType<typeof challenges>["$inferSelect"];
/** Which challenge. */
export type ChallengeKey = Owner & { readonly challengeId: string };

type Proving = ChallengeKey & {
  provenType: TypeName;
  provenFactorId: string;
  facts: Facts;
  /** All of them, where several were asked for. */
  proofs: readonly PartialProof[] | null;
  /** The epoch it must have been created under, and the one from now on. */
  epoch: number;
  mfaEpoch: number;
  now: Date;
  expireTime: Date;
};
type Adding = Moment & { proofs: readonly PartialProof[]; epoch: number; mfaEpoch: number };
type Moment = ChallengeKey & { now: Date };

const isOwners = having(challenges, "tenantId", "userId");
const isThis = having(challenges, "tenantId", "userId", "challengeId");
const isUnexpired = isInTime(challenges);
const isUnended = being(challenges, "state", "pending", "proven");

/** Created under this epoch, which no change of factors has ended since. */
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
  listOpen: select(challenges, all(isOwners, isUnended, isUnexpired)),
  deleteExpired: deleteRows(challenges, all(isOwners, hasExpired(challenges))),
  prepare: statement((s: Building<Moment & { preparedType: TypeName; preparedFactorId: string }>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({
        ...given(s, t, "preparedType", "preparedFactorId"),
        updateTime: s.param("now", t.updateTime),
      })
      .where(and(isThis(s), eq(t.state, "pending"), isUnexpired(s)))
      .returning();
  }),
  prove: statement((s: Building<Proving>) => {
    const t = s.table(challenges);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({
        state: "proven",
        ...given(s, t, "provenType", "provenFactorId", "facts", "proofs", "mfaEpoch", "expireTime"),
        proveTime: now,
        updateTime: now,
      })
      .where(and(isThis(s), eq(t.state, "pending"), isUnexpired(s), isOfEpoch(s)))
      .returning();
  }),
  addProof: statement((s: Building<Adding>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({
        ...given(s, t, "proofs", "mfaEpoch"),
        updateTime: s.param("now", t.updateTime),
      })
      .where(and(isThis(s), eq(t.state, "pending"), isUnexpired(s), isOfEpoch(s)))
      .returning();
  }),
  redeem: statement((s: Building<Moment & { epoch: number }>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({ state: "redeemed", updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), eq(t.state, "proven"), isUnexpired(s), isOfEpoch(s)))
      .returning();
  }),
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
  /** Those that could still be proved or redeemed, unless a lock or a change of factors ended them. */
  listOpen: (owner: Owner, now: Date) => tx.run(statements.listOpen, { ...owner, now }),
  /** Forgets those that ran out before. */
  deleteExpired: (owner: Owner, before: Date) => tx.run(statements.deleteExpired, { ...owner, now: before }),
  /** Notes which factor was prepared last; undefined when it is pending no more. */
  prepare: async (key: ChallengeKey, prepared: { preparedType: TypeName; preparedFactorId: string }, now: Date) =>
    (await tx.run(statements.prepare, { ...key, ...prepared, now }))[0],
  /** Pending to proven: a row for exactly one of any number of callers. */
  prove: async (proving: Proving) => (await tx.run(statements.prove, proving))[0],
  /** Notes one proof of several; undefined when it is pending no more. The unit has serialised the user. */
  addProof: async (adding: Adding) => (await tx.run(statements.addProof, adding))[0],
  /** Proven to redeemed: a row for exactly one of any number of callers. */
  redeem: async (key: ChallengeKey, epoch: number, now: Date) =>
    (await tx.run(statements.redeem, { ...key, epoch, now }))[0],
  /** Ends all that could still be proved or redeemed. */
  cancelAll: (owner: Owner, now: Date) => tx.run(statements.cancelAll, { ...owner, now }),
  cancel: async (key: ChallengeKey, now: Date) => (await tx.run(statements.cancel, { ...key, now })).length === 1,
  deny: async (key: ChallengeKey, now: Date) => (await tx.run(statements.deny, { ...key, now })).length === 1,
});
