import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type Reason, Refusal } from "../core/refusal.ts";
import { SealBroken } from "../crypto/aead.ts";
import { StoreConflict, StoreUnavailable } from "../db/store.ts";
import { IssuerUnavailable } from "./issuer-keys.ts";

/** The `domain` of every ErrorInfo (AIP-193). */
export const ERROR_DOMAIN = "mfa.v1";

/** The status and the text of every refusal. The text holds no value of the call, so it never tells two cases apart. */
const statuses: Record<Reason, readonly [Code, string]> = {
  INVALID_CREDENTIAL: [Code.Unauthenticated, "a valid credential is required"],
  INSUFFICIENT_USER_AUTHENTICATION: [Code.Unauthenticated, "a fresher or stronger authentication is required"],
  ACCESS_DENIED: [Code.PermissionDenied, "the caller may not call this operation"],
  CODE_REJECTED: [Code.PermissionDenied, "the code was not accepted"],
  LOCKED: [Code.ResourceExhausted, "too many failed attempts, try again later"],
  RATE_LIMITED: [Code.ResourceExhausted, "too many requests, try again later"],
  NOT_FOUND: [Code.NotFound, "not found"],
  REQUEST_REPEATED: [Code.AlreadyExists, "this request_id was used before and its reply is not shown again"],
  NOT_ENROLLED: [Code.FailedPrecondition, "the factor is not enrolled"],
  LIMIT_REACHED: [Code.FailedPrecondition, "as many as allowed are enrolled already"],
  ENROLLMENT_EXPIRED: [Code.FailedPrecondition, "no enrolment is pending, start again"],
  INVALID_FIELD: [Code.InvalidArgument, "a field breaks its rule, see the details"],
  MALFORMED_MESSAGE: [Code.InvalidArgument, "the body is not a message of the expected type"],
  INVALID_PAGE_TOKEN: [Code.InvalidArgument, "the page token is not valid for this list"],
  STORE_UNAVAILABLE: [Code.Unavailable, "the store is unavailable, try again"],
  CONFLICT: [Code.Aborted, "lost a race against a concurrent change, read again and retry"],
  DEADLINE: [Code.DeadlineExceeded, "the call took too long"],
  CHALLENGE_EXPIRED: [Code.FailedPrecondition, "it has expired or was spent, start again"],
  WRONG_STATE: [Code.FailedPrecondition, "its state does not allow this"],
  LAST_FACTOR: [Code.FailedPrecondition, "it would leave the user without a factor"],
  STALE_VERSION: [Code.Aborted, "the version is no longer current, read again"],
  FACTOR_NOT_ALLOWED: [Code.FailedPrecondition, "this factor is not allowed here"],
  POLICY_FORBIDS: [Code.FailedPrecondition, "the policy does not allow it"],
  DESTINATION_REFUSED: [Code.InvalidArgument, "nothing is sent to this number or address"],
  DUPLICATE: [Code.AlreadyExists, "it exists already"],
  SIGNATURE_REJECTED: [Code.PermissionDenied, "the signed answer was not accepted"],
  AUTHENTICATOR_NOT_ALLOWED: [Code.FailedPrecondition, "the policy does not allow this authenticator"],
  ASSERTION_REJECTED: [Code.PermissionDenied, "the assertion was not accepted"],
  APP_PARAMETERS_DIFFER: [Code.FailedPrecondition, "the app ignores the parameters of the enrolment"],
  SELF_ACTION: [Code.PermissionDenied, "administrators do not act on themselves"],
  POLICY_UNSATISFIABLE: [Code.FailedPrecondition, "no user could satisfy this policy"],
  RANGE_REFUSED: [Code.InvalidArgument, "the address range has host bits or is too broad"],
  CURSOR_EXPIRED: [Code.OutOfRange, "the cursor is older than what is kept, begin anew"],
  DEV_MODE_ONLY: [Code.FailedPrecondition, "served in dev mode only"],
  DATA_TAMPERED: [Code.DataLoss, "stored data fails its integrity check"],
  ISSUER_UNAVAILABLE: [Code.Unavailable, "the issuer's keys are not to be had, try again"],
  EMPTY_UPDATE: [Code.InvalidArgument, "the update changes nothing"],
};

/** The reason that the caller was told, where there is one. */
export function reasonOf({ details }: ConnectError): string | undefined {
  for (const detail of details) {
    if ("desc" in detail && detail.desc === ErrorInfoSchema) return (detail.value as { reason?: string }).reason;
  }
  return undefined;
}

const duration = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1000)), nanos: (Math.ceil(ms) % 1000) * 1e6 });

/** The wire form of a refusal: its status, one ErrorInfo, and a RetryInfo where a retry can succeed. */
export function refusalToError(refusal: Refusal): ConnectError {
  const [code, text] = statuses[refusal.reason];
  const error = new ConnectError(text, code);
  const { reason, metadata, retryAfterMs } = refusal;
  error.details.push({ desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN, metadata } });
  if (retryAfterMs !== undefined) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: duration(Math.max(1, retryAfterMs)) } });
  }
  return error;
}

/**
 * Maps whatever a call threw. What nobody foresaw becomes INTERNAL without its text, which may hold a query's
 * parameters; `onUnexpected` is told, so that it is never lost.
 */
export function toConnectError(thrown: unknown, onUnexpected: (thrown: unknown) => void): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (thrown instanceof Refusal) return refusalToError(thrown);
  if (thrown instanceof StoreConflict) return refusalToError(new Refusal("CONFLICT"));
  onUnexpected(thrown);
  if (thrown instanceof StoreUnavailable) return refusalToError(new Refusal("STORE_UNAVAILABLE"));
  if (thrown instanceof IssuerUnavailable) return refusalToError(new Refusal("ISSUER_UNAVAILABLE"));
  if (thrown instanceof SealBroken) return refusalToError(new Refusal("DATA_TAMPERED"));
  return new ConnectError("internal error", Code.Internal);
}
