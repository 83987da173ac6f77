/** What a verification can fail with. Nothing else is thrown by the verifier. */
export abstract class VerificationError extends Error {
  /** Whether the same assertion may be verified again: true where nothing was decided about it. */
  abstract readonly retry: boolean;
}

/** The assertion does not hold. The reason is for the log; the sender of the assertion learns none. */
export class AssertionRejected extends VerificationError {
  override readonly name: string = "AssertionRejected";
  readonly retry = false;
}

/** The backend asked for something that no assertion can meet, such as a level that does not exist: nothing holds. */
export class ExpectationInvalid extends AssertionRejected {
  override readonly name = "ExpectationInvalid";
}

/**
 * The keys or the store of used ids could not be had, so nothing was decided: verify the same assertion again, after
 * `retryAfterMs`, while it lives. The challenge behind it need not be proved anew. `cause` is what failed.
 */
export class AssertionUndecided extends VerificationError {
  override readonly name = "AssertionUndecided";
  readonly retry = true;
  /** Milliseconds. */
  readonly retryAfterMs: number;

  constructor(message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super(message, options);
    this.retryAfterMs = Math.ceil(options.retryAfterMs ?? 1000);
  }
}
