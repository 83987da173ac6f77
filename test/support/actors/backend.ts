import { ChallengePurpose } from "../../../gen/mfa/v1/challenge_pb.js";
import { type ServiceUnderTest, setTenant } from "../worlds/service.ts";

/** The scopes of a backend that logs users in. */
export const LOG_IN_SCOPES = "mfa.challenge mfa.verify";

/** A backend with a name of its own, in a tenant. */
export const backendOf = (service: ServiceUnderTest, subject = "shop", tenant = "dev") =>
  service.mint({ audience: "mfa-internal", subject, scope: LOG_IN_SCOPES, tenant });

/** A user's token of one session. */
export const inSession = (service: ServiceUnderTest, subject: string, session: string, acr: "aal1" | "aal2" = "aal1") =>
  service.mint({ audience: "mfa", subject, acr, session });

/** A tenant's texts for the actions that users' pages name. */
export const transferTexts = {
  actions: [{ actionType: "transfer.create", locale: "en", text: "Transfer {amount} to: {to}" }],
};

/** Lets users' pages ask for approval of transfers. */
export const allowTransfers = (service: ServiceUnderTest) => setTenant(service, { templates: transferTexts });

/** A request for a challenge to log a user in. */
export const logIn = (userId: string, terms: object = {}) => ({
  userId,
  client: { ip: "203.0.113.7" },
  terms: { purpose: ChallengePurpose.LOG_IN, ...terms },
});

/** A code as an answer. */
export const totp = (code: string) => ({ kind: { case: "totpCode" as const, value: code } });

/** Creates a challenge of a backend's, and answers its id. */
export async function createFor(service: ServiceUnderTest, userId: string, token: string, terms: object = {}) {
  const { challenge } = await service.internal.createUserChallenge(logIn(userId, terms), token);
  return challenge?.challengeId ?? "";
}

/** Answers a backend's challenge with a code. */
export const answer = (
  service: ServiceUnderTest,
  token: string,
  { userId, challengeId, code }: { userId: string; challengeId: string; code: string },
) =>
  service.internal.verifyUserChallenge(
    { userId, challengeId, proof: totp(code), client: { ip: "203.0.113.7" } },
    token,
  );

/** Redeems a proven challenge of a backend's. */
export const redeem = (
  service: ServiceUnderTest,
  token: string,
  request: {
    userId?: string;
    challengeId: string;
    sessionId?: string;
    nonce?: string;
    action?: object;
    purpose?: ChallengePurpose;
  },
) => service.internal.redeemChallenge({ userId: "ann", client: { ip: "203.0.113.7" }, ...request }, token);
