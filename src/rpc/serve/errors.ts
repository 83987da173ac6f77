import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { type Reason, Refusal } from "../../core/refusal.ts";
import { SealBroken } from "../../crypto/aead.ts";
import { RowTampered } from "../../db/bound-rows.ts";
import { StoreConflict, StoreDamaged, StoreUnavailable } from "../../db/store.ts";
import { IssuerUnavailable } from "../access/issuer-keys.ts";

/** The `domain` of every ErrorInfo (AIP-193). */
export const ERROR_DOMAIN = "mfa.v1";

/** The status and text of every refusal. The text holds no value of the call, so it never distinguishes cases. */
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
  LIMIT_REACHED: [Code.FailedPrecondition, "the limit is reached"],
  ENROLLMENT_EXPIRED: [Code.FailedPrecondition, "no enrollment is pending, start again"],
  INVALID_FIELD: [Code.InvalidArgument, "a field breaks its rule, see the details"],
  MALFORMED_MESSAGE: [Code.InvalidArgument, "the body is not a message of the expected type"],
  INVALID_PAGE_TOKEN: [Code.InvalidArgument, "the page token is not valid for this list"],
  STORE_UNAVAILABLE: [Code.Unavailable, "the store is unavailable, try again"],
  STOPPING: [Code.Unavailable, "the server is stopping"],
  CONFLICT: [Code.Aborted, "lost a race against a concurrent change, read again and retry"],
  DEADLINE: [Code.DeadlineExceeded, "the call took too long"],
  CHALLENGE_EXPIRED: [Code.FailedPrecondition, "expired or already used, start again"],
  WRONG_STATE: [Code.FailedPrecondition, "the object's state does not allow this"],
  LAST_FACTOR: [Code.FailedPrecondition, "this would leave the user without a factor"],
  STALE_VERSION: [Code.Aborted, "the version is no longer current, read again"],
  FACTOR_NOT_ALLOWED: [Code.FailedPrecondition, "this factor is not allowed here"],
  POLICY_FORBIDS: [Code.FailedPrecondition, "the policy does not allow it"],
  DESTINATION_REFUSED: [Code.InvalidArgument, "no messages are sent to this number or address"],
  DUPLICATE: [Code.AlreadyExists, "the object exists already"],
  SIGNATURE_REJECTED: [Code.PermissionDenied, "the signed answer was not accepted"],
  BACKUP_ELIGIBILITY_CHANGED: [Code.FailedPrecondition, "the passkey's backup eligibility has changed"],
  CLONE_SUSPECTED: [Code.FailedPrecondition, "the passkey's signature counter went back; it may be a copy"],
  AUTHENTICATOR_NOT_ALLOWED: [Code.FailedPrecondition, "the policy does not allow this authenticator"],
  ASSERTION_REJECTED: [Code.PermissionDenied, "the assertion was not accepted"],
  APP_PARAMETERS_DIFFER: [Code.FailedPrecondition, "the app ignores the parameters of the enrollment"],
  SELF_ACTION: [Code.PermissionDenied, "not allowed for oneself: another person, or another session, has to do it"],
  POLICY_UNSATISFIABLE: [Code.FailedPrecondition, "no user could satisfy this policy"],
  RANGE_REFUSED: [Code.InvalidArgument, "the address range has host bits or is too broad"],
  CURSOR_EXPIRED: [Code.OutOfRange, "the cursor is older than the retention, begin anew"],
  DEV_MODE_ONLY: [Code.FailedPrecondition, "served in dev mode only"],
  DATA_TAMPERED: [Code.DataLoss, "stored data fails its integrity check"],
  APPROVAL_REQUIRED: [Code.FailedPrecondition, "a second administrator has to grant this request first"],
  DATA_DAMAGED: [Code.DataLoss, "the stored data are damaged; a retry does not help"],
  ISSUER_UNAVAILABLE: [Code.Unavailable, "the issuer's keys could not be fetched, try again"],
  EMPTY_UPDATE: [Code.InvalidArgument, "the update changes nothing"],
  TOO_LARGE: [Code.ResourceExhausted, "the message is too large"],
  ENCODING_REFUSED: [Code.Unimplemented, "compressed messages are not accepted"],
  OVERLOADED: [Code.ResourceExhausted, "the service is overloaded, try again later"],
};

/** By when a client comes to another instance, or to the next one. */
const STOP_RETRY_MS = 1_000;

/** What the ErrorInfo of an error says. */
export interface SentInfo {
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Returns the ErrorInfo of an error, if any. */
export function errorInfoOf({ details }: ConnectError): SentInfo | undefined {
  for (const detail of details) {
    if ("desc" in detail && detail.desc === ErrorInfoSchema) return detail.value as SentInfo; // of this very type
  }
  return undefined;
}

/** Returns the ErrorReason of an error, if any. */
export const errorReasonOf = (error: ConnectError): string | undefined => errorInfoOf(error)?.reason;

const duration = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1000)), nanos: (Math.ceil(ms) % 1000) * 1e6 });

/** The wire form of a refusal: its status, one ErrorInfo, and a RetryInfo where a retry can succeed. */
export function refusalToError(refusal: Refusal, said?: string): ConnectError {
  const { reason, metadata, retryAfterMs, detail } = refusal;
  const [code, general] = statuses[reason];
  const text = reason === "INVALID_FIELD" && metadata.field ? `the field ${metadata.field} breaks its rule` : general;
  const error = new ConnectError(said ?? (detail === undefined ? text : `${text}: ${detail}`), code);
  error.details.push({ desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN, metadata } });
  if (retryAfterMs !== undefined) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: duration(Math.max(1, retryAfterMs)) } });
  }
  return error;
}

/** The refusal of a call that arrives during the stop, and the end of a stream. */
export const stopping = (): ConnectError => refusalToError(new Refusal("STOPPING", { retryAfterMs: STOP_RETRY_MS }));

/** The refusal of an oversized message or metadata, with the limit. */
export function tooLarge(what: "message" | "metadata", limitBytes: number): ConnectError {
  const refusal = new Refusal("TOO_LARGE", { metadata: { what, limit_bytes: String(limitBytes) } });
  return refusalToError(refusal, `the ${what} is larger than ${limitBytes / 1024} KiB`);
}

/**
 * Maps whatever a call threw. What nobody foresaw becomes INTERNAL without its text, which may hold a query's
 * parameters; `onUnexpected` is told, so that it is never lost.
 */
export function toConnectError(thrown: unknown, onUnexpected: (thrown: unknown) => void): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (thrown instanceof Refusal) return refusalToError(thrown);
  // The log has it from where the token was verified, in a bounded rate.
  if (thrown instanceof IssuerUnavailable) return refusalToError(new Refusal("ISSUER_UNAVAILABLE"));
  if (thrown instanceof StoreConflict) return refusalToError(new Refusal("CONFLICT"));
  onUnexpected(thrown);
  if (thrown instanceof StoreUnavailable) return refusalToError(new Refusal("STORE_UNAVAILABLE"));
  if (thrown instanceof StoreDamaged) return refusalToError(new Refusal("DATA_DAMAGED"));
  if (thrown instanceof SealBroken || thrown instanceof RowTampered)
    return refusalToError(new Refusal("DATA_TAMPERED"));
  return new ConnectError("internal error", Code.Internal);
}
