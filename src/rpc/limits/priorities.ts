import type { DescMethod } from "@bufbuild/protobuf";

/**
 * Priorities under overload: 0 for log-ins, 1 for the rest, 2 for lists and exports, which can be repeated at any time.
 * Health and readiness are always served.
 */
export type Priority = 0 | 1 | 2;

/** By the prefix of an RPC's name; the first match counts. */
const BY_NAME: readonly (readonly [RegExp, Priority])[] = [
  [/^(VerifyAuditChain|Export|Import|List|Replay|GetCoverage|GetPushStats|CleanUp)/, 2],
  [/^(Verify|Redeem|StepUp$|EvaluateMfa$|Create(User)?Challenge$|Resend|Watch(User)?Challenge$)/, 0],
  [/^(StartWebAuthnAuthentication|FinishWebAuthnAuthentication|SendSmsCode|SendEmailCode)$/, 0],
  [/^(CreatePushChallenge|GetPushChallenge|ApprovePushChallenge|DenyPushChallenge)$/, 0],
  [/^(Check(User)?DeviceTrust|Get(User)?Challenge|GetJwks)$/, 0],
];

/** A phone reads its waiting requests before it can approve. */
const FIRST: ReadonlySet<string> = new Set(["ListPendingPushChallenges"]);

/** Returns the priority of an RPC. */
export function priorityOf({ name }: Pick<DescMethod, "name">): Priority {
  if (FIRST.has(name)) return 0;
  return BY_NAME.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
}
