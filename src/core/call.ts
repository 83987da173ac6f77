import type { Tx } from "../db/store.ts";
import type { Caller } from "./caller.ts";

/** One call in progress: what a handler gets beside its request. */
export interface Call {
  readonly caller: Caller;
  /** The service's clock when the call began; the only time a handler knows. */
  readonly now: Date;
  /** The full name of the RPC, for records: `mfa.v1.MfaService/VerifyTotpCode`. */
  readonly rpc: string;
  /** Counts the audit entries of the call: an RPC marked `audited` that ends well without one is a mistake of ours. */
  readonly trail: { entries: number };
  /**
   * A unit of work: read-only when the RPC's idempotency is NO_SIDE_EFFECTS, else a write. It commits when `work`
   * returns, a Refusal included, and rolls back when `work` throws. Await nothing in it but queries.
   */
  unit<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}
