import type { ErrorReason } from "../../gen/mfa/v1/error_reason_pb.js";

/** The name of an ErrorReason, without its prefix, as clients see it. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/**
 * A no that the contract foresees. Returned from a unit of work it commits what the unit wrote (an attempt stays
 * counted); thrown, it rolls the unit back. `rpc/errors.ts` turns it into a status.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  /** When a retry can succeed; becomes a RetryInfo. */
  readonly retryAfterMs: number | undefined;

  constructor(
    reason: Reason,
    { metadata = {}, retryAfterMs }: { metadata?: Record<string, string>; retryAfterMs?: number } = {},
  ) {
    super(reason);
    this.reason = reason;
    this.metadata = metadata;
    this.retryAfterMs = retryAfterMs;
  }
}
