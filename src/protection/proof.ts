import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { type Reason, Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { type Happening, recordEvent } from "../events/events.ts";
import { topicOf } from "../users/user-topic.ts";
import type { Counter } from "./attempts.table.ts";
import { confirmLock, type Reservation, refund, reserve, settle } from "./attempts.ts";

/** Why a proof was refused, as events tell it. */
export type Failure = NonNullable<Happening["failureReason"]>;

/** What the caller hears of a no, and what the event keeps of it where nothing more is known. */
export interface Rejection {
  readonly reason: Reason & ("CODE_REJECTED" | "SIGNATURE_REJECTED");
  /** Nothing matched. */
  readonly unmatched: Failure;
  /** It matched and could not be spent. */
  readonly unspent: Failure;
}

/** How typed codes are refused. */
const CODE: Rejection = { reason: "CODE_REJECTED", unmatched: "WRONG", unspent: "REPLAYED" };

/** One kind of proof, cut where the units of work are cut. */
export interface Proof<Loaded, Match, Result> {
  readonly factorType: Happening["factorType"] & string;
  /** What its attempts are counted with. */
  readonly counter: Counter;
  /** The challenge that it answers, for the event; absent without one. */
  readonly challengeId?: string;
  /** How it is refused; as a code unless it says otherwise. */
  readonly rejection?: Rejection;
  /**
   * Judging costs so little that it may come first: then counting, spending and the event share one unit. What it finds
   * stays inside until the count is committed, and a locked user's right code is refused like a wrong one. `load` has
   * a unit of its own, beside the writers': the connection that only reads drops its pages with each commit.
   */
  readonly isCheap?: true;
  /**
   * Where judging is dear: takes a place for it, to be left in the end. Throws RATE_LIMITED when there is none, before
   * anything is counted: a queue that is full is nobody's failed attempt.
   */
  admit?(): { leave(): void };
  /** Reads what the judgement needs, in the unit that counts the attempt. A refusal here is not counted. */
  load(tx: Tx): Promise<Loaded | Refusal>;
  /** Says what the code matches, outside any unit: undefined when nothing. */
  judge(loaded: Loaded): Promise<Match | undefined>;
  /**
   * Consumes the match by conditional statements: undefined when another call consumed it first. A refusal when the
   * code was right but something else is in the way: then it is no failed attempt, and nothing was proved either.
   */
  spend(tx: Tx, match: Match): Promise<Result | Refusal | undefined>;
  /**
   * What is known of why it was refused, beyond that nothing matched or that it could not be spent, for the event. Looks
   * at no secret again: how long a wrong code takes must not depend on how wrong it is.
   */
  failureOf?(tx: Tx, loaded: Loaded, match: Match | undefined): Promise<Failure | undefined>;
}

/** The same proof, with what its spending says made into something else. */
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
 * The only way a proof travels: reserve, judge, spend. Nobody learns what the judgement found before the attempt is
 * counted and committed; judging sees no transaction; spending, clearing the count and the event share one unit. Every
 * no of one kind is the same, and only the event says which.
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
    // What was not judged was no guess either.
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
    failureOf,
  }: Proof<Loaded, Match, Result>,
): Promise<Result | Refusal> {
  const count = { ...owner, counter };
  const profile = await call.lockProfile();

  const fail = async (
    tx: Tx,
    { lockExpireTime, remaining: attemptsRemaining }: Reservation,
    { loaded, match }: { loaded: Loaded; match: Match | undefined },
  ) => {
    const otherwise = match === undefined ? rejection.unmatched : rejection.unspent;
    const failureReason = (await failureOf?.(tx, loaded, match)) ?? otherwise;
    const type = failureReason === "REPLAYED" ? "PROOF_REPLAYED" : "PROOF_FAILED";
    await recordEvent(tx, call, { owner, type, factorType, challengeId, failureReason, attemptsRemaining });
    if (lockExpireTime) {
      await confirmLock(tx, count, call.now);
      tx.announce(topicOf(owner));
      await recordEvent(tx, call, { owner, type: "USER_LOCKED" });
    }
    return new Refusal(rejection.reason);
  };
  /** Spends what matched; undefined when it cannot be spent. */
  const conclude = async (tx: Tx, reserved: Reservation, match: Match): Promise<Result | Refusal | undefined> => {
    const spent = await spend(tx, match);
    if (!spent) return undefined;
    if (spent instanceof Refusal) {
      await refund(tx, count, reserved);
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
        // Something else was in the way, and its unit is undone: the attempt was right all the same.
        if (thrown instanceof Refusal) await call.unit((tx) => refund(tx, count, reserved));
        throw thrown;
      });
  const result = match === undefined ? undefined : await concluded(match);
  if (result) return result;
  return call.unit((tx) => fail(tx, reserved, { loaded: reserved.loaded, match }));
}
