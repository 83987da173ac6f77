import { randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Challenge,
  type ChallengeFactor,
  ChallengePurpose,
  ChallengeState,
  type EvaluateMfaRequestSchema,
  type RedeemChallengeResponse,
} from "../../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import { MfaDecision } from "../../../gen/mfa/v1/risk_pb.js";
import type { AssertionPayload, Expectation } from "../../../src/client/assertion.ts";
import type { Mfa } from "./connection.ts";
import type {
  Answer,
  Begun,
  Evaluated,
  FactorKind,
  LoggedIn,
  LogInRequest,
  PendingLogIn,
  Prepared,
  Verify,
  Verifying,
} from "./log-in-types.ts";

const CASES = {
  TOTP: "totpCode",
  SMS: "smsCode",
  EMAIL: "emailCode",
  BACKUP_CODE: "backupCode",
  TEMPORARY_PASS: "temporaryPass",
} as const;
const secret = () => randomBytes(16).toString("base64url");

/** Returns the kind of a factor by its name. */
export const kindOf = ({ type }: Pick<ChallengeFactor, "type">): FactorKind => FactorType[type] as FactorKind;

/** What is left to prove: nothing of a proven challenge; undefined where nothing can come of it any more. */
function leftOf(challenge: Challenge | undefined): readonly ChallengeFactor[] | undefined {
  if (challenge?.state === ChallengeState.PROVEN) return [];
  return challenge?.state === ChallengeState.PENDING ? challenge.factors : undefined;
}

/** Asks, after the password, what the log-in needs; where it is a proof, returns what the challenge is created with. */
export async function evaluateLogIn(mfa: Mfa, { userId, client, ...request }: LogInRequest): Promise<Evaluated> {
  const { strength = "UNSPECIFIED", firstFactorTime = new Date(), evaluation } = request;
  const [sessionId, nonce] = [secret(), secret()];
  const about = { userId, client };
  const found = await mfa.internal.evaluateMfa({
    sessionId,
    ...evaluation,
    ...about,
    strength: AuthenticationStrength[strength],
    firstFactorTime: timestampFromDate(firstFactorTime),
  } as MessageInitShape<typeof EvaluateMfaRequestSchema>);
  const { decision, decisionId, factors, mfaEpoch } = found;
  if (decision === MfaDecision.ALLOW)
    return { next: "done", session: { sessionId, userId, acr: "aal1", amr: ["pwd"], restricted: false, mfaEpoch } };
  if (decision === MfaDecision.ENROLL)
    return { next: "enroll", ticket: found.ticket, kinds: found.enrollableTypes.map((type) => kindOf({ type })) };
  if (decision !== MfaDecision.CHALLENGE) return { next: "denied" };
  // What was judged is what has to be proved, by the factors that were offered for it and no others.
  const allowedFactorTypes = [...new Set(factors.map(({ type }) => type))];
  const terms = { purpose: ChallengePurpose.LOG_IN, sessionId, nonce, strength: found.strength, allowedFactorTypes };
  return { next: "challenge", decisionId, terms };
}

/** Asks, after the password, what the log-in needs, and begins the challenge that follows. */
export async function beginLogIn(mfa: Mfa, request: LogInRequest): Promise<Begun> {
  const evaluated = await evaluateLogIn(mfa, request);
  if (evaluated.next !== "challenge") return evaluated;
  const { decisionId, terms } = evaluated;
  const about = { userId: request.userId, client: request.client };
  const { challenge } = await mfa.internal.createUserChallenge({ ...about, decisionId, terms });
  const { sessionId, nonce } = terms;
  const logIn = { ...about, sessionId, nonce, challengeId: challenge?.challengeId ?? "" };
  return { next: "prove", logIn, factors: challenge?.factors ?? [] };
}

/** Sends the code, asks the phone or makes the options of the factor that the user chose. */
export async function prepareFactor(mfa: Mfa, logIn: PendingLogIn, factor: ChallengeFactor): Promise<Prepared> {
  const { userId, client, challengeId } = logIn;
  const asked = { userId, client, challengeId, factorType: factor.type, factorId: factor.factorId };
  const { preparation } = await mfa.internal.resendUserChallenge(asked);
  const { kind } = preparation ?? {};
  if (kind?.case === "webauthnOptions") return { kind: "passkey", options: kind.value };
  return kind?.case === "push" ? { kind: "phone", number: kind.value.number } : { kind: "code" };
}

/**
 * Passes on the user's answer and returns the factors that are left to prove, none when the challenge is proven. Throws
 * CODE_REJECTED for a wrong code and LOCKED after too many; undefined where nothing can come of the challenge.
 */
export async function answerLogIn(mfa: Mfa, logIn: PendingLogIn, answer: Answer) {
  const { userId, client, challengeId } = logIn;
  const kind =
    answer.kind === "WEBAUTHN"
      ? ({ case: "webauthn", value: answer.response } as const)
      : ({ case: CASES[answer.kind], value: answer.code } as const);
  const { challenge } = await mfa.internal.verifyUserChallenge({ userId, client, challengeId, proof: { kind } });
  return leftOf(challenge);
}

/** Waits until the phone has answered and returns what is left to prove; undefined where it was denied or ended. */
export async function awaitPhone(mfa: Mfa, { userId, challengeId }: PendingLogIn, signal?: AbortSignal) {
  const options = { timeoutMs: 0, ...(signal && { signal }) };
  for await (const { challenge } of mfa.internal.watchUserChallenge({ userId, challengeId }, options)) {
    const left = leftOf(challenge);
    if (!left?.some(({ type }) => type === FactorType.PUSH)) return left;
  }
  return undefined;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The challenge is spent by then: where nothing could be decided, the same assertion is verified again. */
async function verifyAgain(verify: Verify, token: string, expected: Expectation, tries = 3): Promise<AssertionPayload> {
  try {
    return await verify(token, expected);
  } catch (error) {
    const { retry = false, retryAfterMs = 0 } = error as { retry?: boolean; retryAfterMs?: number };
    if (!retry || tries === 1) throw error;
    await pause(retryAfterMs);
    return verifyAgain(verify, token, expected, tries - 1);
  }
}

/** Verifies offline what was redeemed, and returns the session that it is good for. */
export async function sessionOf(
  redeemed: RedeemChallengeResponse | undefined,
  { userId, sessionId, nonce }: Pick<PendingLogIn, "userId" | "sessionId" | "nonce">,
  { verify, tenantId }: Verifying,
): Promise<LoggedIn> {
  const expected = { tenantId, userId, sessionId, nonce, acr: "aal1", purpose: "log_in" } as const;
  const stated = await verifyAgain(verify, redeemed?.assertion?.token ?? "", expected);
  const { restrictedSession: restricted = false, mfaEpoch = 0n } = redeemed ?? {};
  return {
    ...{ sessionId, userId, restricted, mfaEpoch, authTime: stated.auth_time },
    ...{ acr: stated.acr, amr: ["pwd", ...stated.amr] },
  };
}

/** Redeems a proven challenge, once, verifies the assertion offline and returns the session that it is good for. */
export async function finishLogIn(mfa: Mfa, logIn: PendingLogIn, verifying: Verifying): Promise<LoggedIn> {
  const { userId, client, challengeId, sessionId, nonce } = logIn;
  const redeemed = await mfa.internal.redeemChallenge({ userId, client, challengeId, sessionId, nonce });
  return sessionOf(redeemed, logIn, verifying);
}
