import { and, eq, gt, inArray, lte } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { isOwnedBy } from "../db/owned.ts";
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

const isOwners = (s: Building<Owner>) => isOwnedBy(s, s.table(challenges));

const isThis = (s: Building<ChallengeKey>) => {
  const t = s.table(challenges);
  return and(isOwners(s), eq(t.challengeId, s.param("challengeId", t.challengeId)));
};

const isInTime = (s: Building<{ now: Date }>) => {
  const t = s.table(challenges);
  return gt(t.expireTime, s.param("now", t.expireTime));
};

const end = (from: readonly ("pending" | "proven")[], state: "cancelled" | "denied") =>
  statement((s: Building<Moment>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({ state, updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), inArray(t.state, [...from]), isInTime(s)))
      .returning({ challengeId: t.challengeId });
  });

const statements = {
  insert: statement((s: Building<ChallengeRow>) => {
    const t = s.table(challenges);
    return s.db.insert(t).values(s.row(t)).returning({ challengeId: t.challengeId });
  }),
  find: statement((s: Building<ChallengeKey>) => s.db.select().from(s.table(challenges)).where(isThis(s))),
  listOpen: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(challenges);
    return s.db
      .select()
      .from(t)
      .where(and(isOwners(s), inArray(t.state, ["pending", "proven"]), isInTime(s)));
  }),
  deleteExpired: statement((s: Building<Owner & { before: Date }>) => {
    const t = s.table(challenges);
    return s.db
      .delete(t)
      .where(and(isOwners(s), lte(t.expireTime, s.param("before", t.expireTime))))
      .returning();
  }),
  prepare: statement((s: Building<Moment & { preparedType: TypeName; preparedFactorId: string }>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({
        preparedType: s.param("preparedType", t.preparedType),
        preparedFactorId: s.param("preparedFactorId", t.preparedFactorId),
        updateTime: s.param("now", t.updateTime),
      })
      .where(and(isThis(s), eq(t.state, "pending"), isInTime(s)))
      .returning();
  }),
  prove: statement((s: Building<Proving>) => {
    const t = s.table(challenges);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({
        state: "proven",
        provenType: s.param("provenType", t.provenType),
        provenFactorId: s.param("provenFactorId", t.provenFactorId),
        facts: s.param("facts", t.facts),
        proofs: s.param("proofs", t.proofs),
        mfaEpoch: s.param("mfaEpoch", t.mfaEpoch),
        proveTime: now,
        updateTime: now,
        expireTime: s.param("expireTime", t.expireTime),
      })
      .where(and(isThis(s), eq(t.state, "pending"), isInTime(s), eq(t.mfaEpoch, s.param("epoch", t.mfaEpoch))))
      .returning();
  }),
  addProof: statement((s: Building<Adding>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({
        proofs: s.param("proofs", t.proofs),
        mfaEpoch: s.param("mfaEpoch", t.mfaEpoch),
        updateTime: s.param("now", t.updateTime),
      })
      .where(and(isThis(s), eq(t.state, "pending"), isInTime(s), eq(t.mfaEpoch, s.param("epoch", t.mfaEpoch))))
      .returning();
  }),
  redeem: statement((s: Building<Moment & { epoch: number }>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({ state: "redeemed", updateTime: s.param("now", t.updateTime) })
      .where(and(isThis(s), eq(t.state, "proven"), isInTime(s), eq(t.mfaEpoch, s.param("epoch", t.mfaEpoch))))
      .returning();
  }),
  cancelAll: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(challenges);
    return s.db
      .update(t)
      .set({ state: "cancelled", updateTime: s.param("now", t.updateTime) })
      .where(and(isOwners(s), inArray(t.state, ["pending", "proven"]), isInTime(s)))
      .returning({ challengeId: t.challengeId });
  }),
  cancel: end(["pending", "proven"], "cancelled"),
  deny: end(["pending", "proven"], "denied"),
};

/** The challenges of users. */
export const challengeRepository = (tx: Tx) => ({
  insert: (row: ChallengeRow) => tx.run(statements.insert, row),
  find: async (key: ChallengeKey) => (await tx.run(statements.find, key))[0],
  /** Those that could still be proved or redeemed, unless a lock or a change of factors ended them. */
  listOpen: (owner: Owner, now: Date) => tx.run(statements.listOpen, { ...owner, now }),
  /** Forgets those that ran out before. */
  deleteExpired: (owner: Owner, before: Date) => tx.run(statements.deleteExpired, { ...owner, before }),
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
