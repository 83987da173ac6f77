import type { Tx } from "../db/store.ts";
import type { Caller } from "./caller.ts";
import type { ClientOrigin } from "./client-origin.ts";

/** One call in progress: what a handler gets beside its request. */
export interface Call {
  readonly caller: Caller;
  /** Where the person behind the call is: from the connection, or from a backend's `ClientContext`. */
  readonly client: ClientOrigin;
  /**
   * Counts a proof that may turn out wrong against the place it comes from, before it is judged: one code tried on
   * everybody is nobody's failed attempts. Throws RATE_LIMITED. What it returns takes the count back.
   */
  guess(): () => void;
  /** The service's clock when the call began; the only time a handler knows. */
  readonly now: Date;
  /** The full name of the RPC, for records: `mfa.v1.MfaService/VerifyTotpCode`. */
  readonly rpc: string;
  /** The id of the call in the log: the client's own (`x-request-id`), or one made for it. */
  readonly logId: string;
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
   * Asks again, inside a unit, what may have let a user in without a second factor: that they had none to show.
   * Throws the refusal when another call has enrolled one since. The unit has serialised the user before.
   */
  confirmAccess(tx: Tx): Promise<void>;
  /** How failed attempts lock in the caller's tenant. Outside of units. */
  lockProfile(): Promise<"standard" | "pci">;
  /** Aborted when the client leaves, the deadline passes or the server stops. Streams end with it. */
  readonly signal: AbortSignal;
  /** The service's clock, for streams, which outlive `now`. */
  clock(): Date;
}
