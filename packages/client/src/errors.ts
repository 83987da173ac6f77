// What a refusal of the service says, for programs: works on every error that a client of this package throws.
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import type { ErrorReason } from "../../../gen/mfa/v1/error_reason_pb.js";

/** The stable reasons of the contract. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

const infoOf = (thrown: unknown) =>
  thrown instanceof ConnectError
    ? thrown.findDetails(ErrorInfoSchema).find(({ domain }) => domain === "mfa.v1")
    : undefined;

/**
 * Returns why the service refused: a reason of the contract, such as CODE_REJECTED. Without one it is the code of the
 * connection ("Unavailable"), or the error's own name. Branch on it, never on the message.
 */
export function reasonOf(thrown: unknown): Reason | (string & {}) {
  if (thrown instanceof ConnectError) return infoOf(thrown)?.reason || Code[thrown.code];
  return thrown instanceof Error ? thrown.name : "Unknown";
}

/** Returns what the refusal says besides its reason, such as `acr_values`, `policy` or `approval_id`; empty without one. */
export const metadataOf = (thrown: unknown): Readonly<Record<string, string>> => infoOf(thrown)?.metadata ?? {};

/** Returns how many milliseconds to wait before trying again; undefined where the service did not say. */
export function retryAfterOf(thrown: unknown): number | undefined {
  if (!(thrown instanceof ConnectError)) return undefined;
  const delay = thrown.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6);
}

/** Whether the code was wrong, used or too old: ask for a new one. */
export const isCodeRejected = (thrown: unknown): boolean => reasonOf(thrown) === "CODE_REJECTED";

/** Whether too many attempts failed: even right codes are refused until `retryAfterOf` has passed. */
export const isLocked = (thrown: unknown): boolean => reasonOf(thrown) === "LOCKED";

/** Whether the caller has to slow down, or the service has too much to do. */
export const isRateLimited = (thrown: unknown): boolean => ["RATE_LIMITED", "OVERLOADED"].includes(reasonOf(thrown));

/** Whether the user has to prove a factor anew; `metadataOf` says which level and how fresh. */
export const isStepUpRequired = (thrown: unknown): boolean => reasonOf(thrown) === "INSUFFICIENT_USER_AUTHENTICATION";

/** Whether the challenge, the enrollment or the ticket has ended or was spent: begin again. */
export const isExpired = (thrown: unknown): boolean =>
  ["CHALLENGE_EXPIRED", "ENROLLMENT_EXPIRED"].includes(reasonOf(thrown));

/** Whether another administrator has to grant the call first; `metadataOf(thrown).approval_id` names the approval. */
export const isApprovalRequired = (thrown: unknown): boolean => reasonOf(thrown) === "APPROVAL_REQUIRED";
