import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { reserve, settle } from "./attempts.ts";

/** One kind of proof, cut where the units of work are cut. */
export interface Proof<Loaded, Match, Result> {
  /** The event type's first word: "totp". */
  readonly factor: string;
  /** Reads what the judgement needs, in the unit that counts the attempt. A refusal here is not counted. */
  load(tx: Tx): Promise<Loaded | Refusal>;
  /** Says what the code matches, outside any unit: undefined when nothing. */
  judge(loaded: Loaded): Promise<Match | undefined>;
  /** Consumes the match by conditional statements: undefined when another call consumed it first. */
  spend(tx: Tx, match: Match): Promise<Result | undefined>;
}

type Outcome = "rejected" | "replayed";

/**
 * The only way a typed code travels: reserve, judge, spend. The attempt is counted and committed before it is judged;
 * judging sees no transaction; spending, clearing the count and the event share one unit. Every no is CODE_REJECTED,
 * and only the event says which.
 */
export async function prove<Loaded, Match, Result extends object>(
  call: Call,
  owner: Owner,
  { factor, load, judge, spend }: Proof<Loaded, Match, Result>,
): Promise<Result | Refusal> {
  const { now } = call;
  const reserved = await call.unit(async (tx) => {
    const loaded = await load(tx);
    if (loaded instanceof Refusal) return loaded;
    const reservation = await reserve(tx, owner, now);
    return reservation instanceof Refusal ? reservation : { loaded, ...reservation };
  });
  if (reserved instanceof Refusal) return reserved;

  const fail = async (outcome: Outcome): Promise<Refusal> => {
    await call.unit(async (tx) => {
      await recordEvent(tx, call, { owner, type: `${factor}.${outcome}` });
      if (reserved.locking) await recordEvent(tx, call, { owner, type: "mfa.locked" });
    });
    return new Refusal("CODE_REJECTED");
  };
  const match = await judge(reserved.loaded);
  if (match === undefined) return fail("rejected");
  const result = await call.unit(async (tx) => {
    const spent = await spend(tx, match);
    if (!spent) return undefined;
    await settle(tx, owner);
    await recordEvent(tx, call, { owner, type: `${factor}.verified` });
    return spent;
  });
  return result ?? fail("replayed");
}
