import type { Tx } from "../db/store.ts";
import type { Call } from "./call.ts";
import type { Caller } from "./caller.ts";

/** A caller whom an assertion raised, and what uses the assertion up. */
export interface Raised {
  readonly caller: Caller;
  /** Keeps other calls of this process from the same assertion until the returned function is called; throws ASSERTION_REJECTED. */
  hold(): () => void;
  /** Looks whether it can still be used, in a unit that reads. */
  standing(tx: Tx, now: Date): Promise<"open" | "consumed" | "ended">;
  /** Writes the event of an assertion that was presented again. */
  noteReplay(tx: Tx, call: Call): Promise<void>;
  /** Uses it up, in a unit that writes; throws ASSERTION_REJECTED where another call was first. */
  consume(tx: Tx, now: Date): Promise<void>;
  /** Takes that back. */
  giveBack(tx: Tx): Promise<void>;
}

/** Takes an assertion for the fresh second factor that an RPC asks for; throws ASSERTION_REJECTED. */
export type Raise = (
  caller: Caller,
  assertion: string,
  raising: { readonly rpc: string; readonly maxAgeMs: number | undefined },
) => Promise<Raised>;
