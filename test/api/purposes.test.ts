import { describe, expect, test } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { createAssertionVerifier } from "../../src/client/assertion.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, inSession, redeem, totp } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { askedPhone, stateOf } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const { LOG_IN, STEP_UP } = ChallengePurpose;
const transfer = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };

/** A verifier of a backend's own, offline. */
async function offline(service: ServiceUnderTest) {
  const { jwks } = await service.internal.getJwks({}, await service.backend("mfa.verify"));
  const { keys } = jwks as unknown as { keys: { kid: string }[] };
  return createAssertionVerifier({
    issuer: "mfa-service",
    audience: "shop",
    clock: () => service.clock.now,
    once: async () => true,
    key: async (id) => keys.find(({ kid }) => kid === id),
  });
}

/** A proven challenge of the shop's for ann, of a purpose. */
async function proven(service: ServiceUnderTest, purpose: ChallengePurpose) {
  const app = await enrollApp(service, "ann");
  const shop = await backendOf(service);
  const challengeId = await createFor(service, "ann", shop, { purpose, sessionId: "one" });
  await answer(service, shop, { userId: "ann", challengeId, code: await app.code() });
  return { shop, asked: { challengeId, sessionId: "one" } };
}

describe.each(engines)("what a proof is for on $name", (engine) => {
  test("an approval for a log-in steps nothing up and answers no step-up's challenge", async () => {
    const { service, phone, page, waiting } = await askedPhone(engine);
    await phone.approve(waiting, page.number);
    const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
    for (const audience of ["bank", "mfa"]) {
      expect((await failure(service.mfa.stepUp({ proof, audience }, page.token))).reason).toBe("CHALLENGE_EXPIRED");
    }
    const open = async (purpose: ChallengePurpose) => {
      const { challenge } = await service.mfa.createChallenge({ terms: { purpose, audience: "bank" } }, page.token);
      return service.mfa.verifyChallenge({ challengeId: challenge?.challengeId ?? "", proof }, page.token);
    };
    expect((await failure(open(STEP_UP))).reason).toBe("CHALLENGE_EXPIRED");
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.APPROVED);
    expect((await open(LOG_IN)).challenge?.state).toBe(ChallengeState.PROVEN);
  });

  test("an approval of an action completes no log-in", async () => {
    const { service, phone, page, waiting } = await askedPhone(engine, { action: transfer });
    await phone.approve(waiting, page.number);
    const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
    const terms = { purpose: LOG_IN, audience: "shop", action: transfer };
    const { challenge } = await service.mfa.createChallenge({ terms }, page.token);
    const answered = service.mfa.verifyChallenge({ challengeId: challenge?.challengeId ?? "", proof }, page.token);
    expect((await failure(answered)).reason).toBe("CHALLENGE_EXPIRED");
    expect((await service.mfa.stepUp({ proof, audience: "shop", action: transfer }, page.token)).assertion?.acr).toBe(
      "aal2",
    );
  });

  test("a page does not make a confirmation of the challenge that is to log its user in", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const shop = await backendOf(service);
    const page = await inSession(service, "ann", "one");
    const challengeId = await createFor(service, "ann", shop, { sessionId: "one" });
    const proof = totp(await app.code());
    const refused = await failure(service.mfa.stepUp({ proof, challengeId }, page));
    expect(refused).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "challenge_id" } });
    expect((await service.mfa.verifyChallenge({ challengeId, proof }, page)).challenge?.state).toBe(
      ChallengeState.PROVEN,
    );
  });

  test.each([
    ["log_in", LOG_IN, STEP_UP],
    ["step_up", STEP_UP, LOG_IN],
  ] as const)("an assertion says that it is for %s, and is taken for nothing else", async (pur, own, other) => {
    const service = await serviceForTest(engine);
    const { shop, asked } = await proven(service, own);
    expect((await failure(redeem(service, shop, { ...asked, purpose: other }))).reason).toBe("ASSERTION_REJECTED");
    const { assertion } = await redeem(service, shop, { ...asked, purpose: own });
    const token = assertion?.token ?? "";
    const request = { userId: "ann", token, sessionId: "one" };
    const foreign = service.internal.verifyAssertion({ ...request, purpose: other }, shop);
    expect((await failure(foreign)).reason).toBe("ASSERTION_REJECTED");
    for (const purpose of [own, ChallengePurpose.UNSPECIFIED]) {
      const { claims } = await service.internal.verifyAssertion({ ...request, purpose }, shop);
      expect(claims?.purpose).toBe(own);
    }
    const verify = await offline(service);
    const expected = { tenantId: "dev", userId: "ann", sessionId: "one" };
    expect(await verify(token, { ...expected, purpose: pur })).toMatchObject({ pur });
    const not = pur === "log_in" ? "step_up" : "log_in";
    await expect(verify(token, { ...expected, purpose: not })).rejects.toThrow("another purpose");
  });

  test("a step-up without a challenge is for a step-up", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const page = await inSession(service, "ann", "one");
    const { assertion } = await service.mfa.stepUp({ proof: totp(await app.code()), audience: "shop" }, page);
    const request = { userId: "ann", token: assertion?.token ?? "", sessionId: "one" };
    const { claims } = await service.internal.verifyAssertion(request, await backendOf(service));
    expect(claims?.purpose).toBe(STEP_UP);
  });

  test("a decision about a log-in is followed by no challenge of another purpose", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const shop = await backendOf(service);
    const client = { ip: "203.0.113.7" };
    const { decisionId } = await service.internal.evaluateMfa({ userId: "ann", client }, shop);
    const request = { userId: "ann", client, decisionId, terms: { purpose: STEP_UP } };
    const refused = await failure(service.internal.createUserChallenge(request, shop));
    expect(refused).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "terms.purpose" } });
  });
});
