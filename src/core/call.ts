import type { Tx } from "../db/store.ts";
import type { Caller } from "./caller.ts";
import type { ClientOrigin } from "./client-origin.ts";

/** One call in progress: what a handler gets beside its request. */
export interface Call {
  readonly caller: Caller;
  /** The user's address and agent: from the connection, or from a backend's `ClientContext`. */
  readonly client: ClientOrigin;
  /**
   * Counts a proof against its source address before it is judged, since one code tried on many users fails once for
   * each. Fails with RATE_LIMITED; the returned function takes the count back.
   */
  guess(): () => void;
  /** The service's clock when the call began; the only time a handler knows. */
  readonly now: Date;
  /** The full name of the RPC, for records: `mfa.v1.MfaService/VerifyTotpCode`. */
  readonly rpc: string;
  /** The id of the call in the log: the client's own (`x-request-id`), or one made for it. */
  readonly callId: string;
  /** Signs a record with the operator's key, so that it cannot be altered in the store; purposes are constants. */
  sign(purpose: string, ...parts: readonly (string | Uint8Array)[]): Buffer;
  /**
   * A unit of work: read-only when the RPC's idempotency is NO_SIDE_EFFECTS, else a write. It commits when `work`
   * returns, a Refusal included, and rolls back when `work` throws. Await nothing in it but queries.
   */
  unit<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** A unit that reads, whatever the RPC does. What it finds may have changed before the next unit. */
  read<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Checks again, inside a unit, that the user still has no factor, where that let the call in without a second factor.
   * Throws the refusal when another call has enrolled one meanwhile. The unit has locked the user's row before.
   */
  confirmAccess(tx: Tx): Promise<void>;
  /** Returns the lock rules of the caller's tenant. Call it outside of units. */
  lockProfile(): Promise<"standard" | "pci">;
  /** Aborted when the client leaves, the deadline passes or the server stops. Streams end with it. */
  readonly signal: AbortSignal;
  /** The service's clock, for streams, which outlive `now`. */
  clock(): Date;
}
