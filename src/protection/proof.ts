import type { Call } from "../core/call.ts";
import { type Reason, Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type Happening, recordEvent } from "../events/events.ts";
import { topicOf } from "../users/user-topic.ts";
import type { Counter } from "./attempts.table.ts";
import { noteWrong, type Reservation, refund, reserve, settle } from "./attempts.ts";

/** Why a proof was refused, as events tell it. */
export type ProofFailure = NonNullable<Happening["failureReason"]>;

/** The refusal for the caller, and the default failure reason of the event. */
export interface Rejection {
  readonly reason: Reason & ("CODE_REJECTED" | "SIGNATURE_REJECTED");
  /** The proof did not match. */
  readonly unmatched: ProofFailure;
  /** The proof matched and was already used. */
  readonly unspent: ProofFailure;
}

/** The refusals of typed codes. */
const CODE: Rejection = { reason: "CODE_REJECTED", unmatched: "WRONG", unspent: "REPLAYED" };

/** A kind of proof, divided at the boundaries of units of work. */
export interface Proof<Loaded, Match, Result> {
  readonly factorType: Happening["factorType"] & string;
  /** The counter of its attempts. */
  readonly counter: Counter;
  /** The challenge that it answers, for the event; absent without one. */
  readonly challengeId?: string;
  /** Its refusals; by default those of typed codes. */
  readonly rejection?: Rejection;
  /**
   * Judging is cheap and may come first: then counting, spending and the event share one unit. Its result is not
   * revealed before the count is committed, and a locked user's right code is refused like a wrong one. `load` has a
   * read unit of its own.
   */
  readonly isCheap?: true;
  /**
   * For expensive judging (scrypt): reserves a slot, released afterwards. Throws RATE_LIMITED when the pool is full,
   * before an attempt is counted.
   */
  admit?(): { leave(): void };
  /** Reads what judging needs, in the unit that counts the attempt. A refusal here is not counted. */
  load(tx: Tx): Promise<Loaded | Refusal>;
  /** Returns what the code matches, outside of units; undefined without a match. */
  judge(loaded: Loaded): Promise<Match | undefined>;
  /**
   * Consumes the match by conditional statements; returns undefined when another call consumed it first. Returns a
   * refusal when the code was right but another condition fails: this is neither a failed attempt nor a proof.
   */
  spend(tx: Tx, match: Match): Promise<Result | Refusal | undefined>;
  /**
   * Records a refusal by `spend` in the unit that takes the attempt back: the spending unit where the refusal is
   * returned, a unit of its own where it is thrown and rolls back the spending.
   */
  noteRefused?(tx: Tx, match: Match, refusal: Refusal): Promise<void>;
  /**
   * Returns a more precise failure reason for the event. Must not compare secrets: the time of a refusal must not
   * depend on the code.
   */
  failureOf?(tx: Tx, loaded: Loaded, match: Match | undefined): Promise<ProofFailure | undefined>;
}

/** Returns the same proof with the result of its spending transformed. */
export const resulting = <Loaded, Match, A extends object, B>(
  { spend, ...proof }: Proof<Loaded, Match, A>,
  toResult: (spent: A) => B,
): Proof<Loaded, Match, B> => ({
  ...proof,
  spend: async (tx, match) => {
    const spent = await spend(tx, match);
    return spent === undefined || spent instanceof Refusal ? spent : toResult(spent);
  },
});

/**
 * Runs a proof: reserve, judge, spend; the only way to do so. The result of judging is not revealed before the attempt
 * is counted and committed; judging runs outside of transactions; spending, clearing the count and the event share one
 * unit. All refusals of one kind are alike to the caller; only the event tells why.
 */
export async function prove<Loaded, Match, Result extends object>(
  call: Call,
  owner: Owner,
  proof: Proof<Loaded, Match, Result>,
): Promise<Result | Refusal> {
  const right = call.guess();
  let place: { leave(): void } | undefined;
  let outcome: Result | Refusal | undefined;
  try {
    place = proof.admit?.();
    outcome = await travel(call, owner, proof);
    return outcome;
  } finally {
    place?.leave();
    // A proof that was not judged does not count as an attempt.
    if (!(outcome instanceof Refusal && outcome.reason === (proof.rejection ?? CODE).reason)) right();
  }
}

async function travel<Loaded, Match, Result extends object>(
  call: Call,
  owner: Owner,
  {
    factorType,
    counter,
    challengeId = "",
    rejection = CODE,
    isCheap,
    load,
    judge,
    spend,
    noteRefused,
    failureOf,
  }: Proof<Loaded, Match, Result>,
): Promise<Result | Refusal> {
  const count = { ...owner, counter };
  const profile = await call.lockProfile();

  const fail = async (
    tx: Tx,
    reserved: Reservation,
    { loaded, match }: { loaded: Loaded; match: Match | undefined },
  ) => {
    const otherwise = match === undefined ? rejection.unmatched : rejection.unspent;
    const failureReason = (await failureOf?.(tx, loaded, match)) ?? otherwise;
    const type = failureReason === "REPLAYED" ? "PROOF_REPLAYED" : "PROOF_FAILED";
    const attemptsRemaining = reserved.remaining;
    await recordEvent(tx, call, { owner, type, factorType, challengeId, failureReason, attemptsRemaining });
    if (await noteWrong(tx, count, reserved, call.now)) {
      tx.announce(topicOf(owner));
      await recordEvent(tx, call, { owner, type: "USER_LOCKED" });
    }
    return new Refusal(rejection.reason);
  };
  /** Spends the match; returns undefined when it cannot be spent. A refusal that must roll back is thrown. */
  const conclude = async (tx: Tx, reserved: Reservation, match: Match): Promise<Result | Refusal | undefined> => {
    const spent = await spend(tx, match);
    if (!spent) return undefined;
    if (spent instanceof Refusal) {
      await refund(tx, count, reserved);
      await noteRefused?.(tx, match, spent);
      return spent;
    }
    await settle(tx, count, reserved);
    await recordEvent(tx, call, { owner, type: "PROOF_SUCCEEDED", factorType, challengeId });
    return spent;
  };

  if (isCheap) {
    const loaded = await call.unit(load);
    if (loaded instanceof Refusal) return loaded;
    const match = await judge(loaded);
    return call.unit(async (tx) => {
      const reserved = await reserve(tx, count, profile, call.now);
      if (reserved instanceof Refusal) return reserved;
      const spent = match === undefined ? undefined : await conclude(tx, reserved, match);
      return spent ?? fail(tx, reserved, { loaded, match });
    });
  }

  const reserved = await call.unit(async (tx) => {
    const loaded = await load(tx);
    if (loaded instanceof Refusal) return loaded;
    const reservation = await reserve(tx, count, profile, call.now);
    return reservation instanceof Refusal ? reservation : { loaded, ...reservation };
  });
  if (reserved instanceof Refusal) return reserved;
  const match = await judge(reserved.loaded);
  const concluded = (of: Match) =>
    call
      .unit((tx) => conclude(tx, reserved, of))
      .catch(async (thrown: unknown) => {
        // Another condition failed and its unit is rolled back; the attempt was right.
        if (thrown instanceof Refusal) {
          await call.unit(async (tx) => {
            await refund(tx, count, reserved);
            await noteRefused?.(tx, of, thrown);
          });
        }
        throw thrown;
      });
  const result = match === undefined ? undefined : await concluded(match);
  if (result) return result;
  return call.unit((tx) => fail(tx, reserved, { loaded: reserved.loaded, match }));
}
