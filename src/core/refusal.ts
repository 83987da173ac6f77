import type { ErrorReason } from "../../gen/mfa/v1/error_reason_pb.js";

/** The name of an ErrorReason, without its prefix, as clients see it. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/**
 * An error that the contract foresees. Returned from a unit of work it commits what the unit wrote (an attempt stays
 * counted); thrown, it rolls the unit back. `rpc/serve/errors.ts` turns it into a status.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  /** When a retry can succeed; becomes a RetryInfo. */
  readonly retryAfterMs: number | undefined;
  /** What the caller is told beside the text of the reason; in dev mode only, as it tells cases apart. */
  readonly detail: string | undefined;

  constructor(
    reason: Reason,
    {
      metadata = {},
      retryAfterMs,
      detail,
    }: { metadata?: Record<string, string>; retryAfterMs?: number; detail?: string | undefined } = {},
  ) {
    super(reason);
    this.reason = reason;
    this.metadata = metadata;
    this.retryAfterMs = retryAfterMs;
    this.detail = detail;
  }
}
