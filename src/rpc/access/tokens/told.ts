import { Buckets } from "../../limits/buckets.ts";
import { IssuerUnavailable } from "../issuer-keys.ts";
import { CredentialRejected, type Failure } from "./rejected.ts";

/** A refused credential, for the log: never the token or its subject. */
export interface RefusedCredential extends Failure {
  /** The configured issuer that the token names. */
  readonly issuer: string | undefined;
  /** Refusals of this check and issuer since the previous line. */
  readonly refused: number;
}

/** Sinks for refused credentials. */
export interface ToldOptions {
  /** Writes a line. Called for ten of a check and issuer at once, and for one in five seconds. */
  readonly tell: (refused: RefusedCredential) => void;
  /** Counts each. */
  readonly count: (check: Failure["check"]) => void;
  /** Whether callers learn which check failed: in dev mode only. */
  readonly tellsCaller: boolean;
}

/** A credential that is confirmed once its caller was authorized; that may refuse it, too. */
interface Confirmed {
  readonly confirm?: () => Promise<void>;
}

const BURST = 10;
const PER_SECOND = 0.2;

/**
 * Tells operators which check a refused token failed; callers always get INVALID_CREDENTIAL. Lines are bounded for each
 * check and configured issuer, so that made-up tokens cannot fill the log or hide refusals of genuine ones, which fail
 * other checks.
 */
export function telling<Shown extends unknown[], Found extends Confirmed>(
  verify: (...shown: Shown) => Promise<Found>,
  { tell, count, tellsCaller }: ToldOptions,
): (...shown: Shown) => Promise<Found> {
  const lines = new Buckets(PER_SECOND, BURST);
  const untold = new Map<string, number>();

  function note(failure: Failure, issuer: string | undefined): void {
    count(failure.check);
    const kind = `${failure.check} ${issuer ?? ""}`;
    const refused = (untold.get(kind) ?? 0) + 1;
    untold.set(kind, refused);
    if (lines.waitMs(kind) > 0) return;
    lines.take(kind);
    untold.delete(kind);
    tell({ ...failure, issuer, refused });
  }

  /** Does what may refuse a credential. */
  async function noted<Done>(work: () => Promise<Done>): Promise<Done> {
    try {
      return await work();
    } catch (thrown) {
      if (thrown instanceof IssuerUnavailable) {
        note({ check: "keys", text: `keys could not be fetched: ${thrown.message}` }, undefined);
      }
      if (!(thrown instanceof CredentialRejected)) throw thrown;
      note(thrown.failure, thrown.issuer);
      throw tellsCaller ? new CredentialRejected(thrown.failure, thrown.issuer, true) : thrown;
    }
  }

  return async (...shown) => {
    const found = await noted(() => verify(...shown));
    const { confirm } = found;
    return confirm ? { ...found, confirm: () => noted(confirm) } : found;
  };
}
