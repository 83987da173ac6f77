import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, logIn, redeem } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { policyAdmin } from "../support/worlds/risk.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const { PHISHING_RESISTANT, ANY_FACTOR } = AuthenticationStrength;
const client = { ip: "203.0.113.7" };

async function loggingIn(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  const app = await enrollApp(service, "ann");
  const evaluate = async (more: object = {}, backend = "shop") =>
    (await service.internal.evaluateMfa({ userId: "ann", client, ...more }, await backendOf(service, backend)))
      .decisionId;
  const follow = async (decisionId: string, terms: object = {}, backend = "shop") =>
    (
      await service.internal.createUserChallenge(
        { ...logIn("ann", terms), decisionId },
        await backendOf(service, backend),
      )
    ).challenge?.challengeId ?? "";
  const proven = async (decisionId: string, terms: object = {}) => {
    const challengeId = await follow(decisionId, terms);
    const shop = await backendOf(service);
    const { challenge } = await answer(service, shop, { userId: "ann", challengeId, code: await app.code() });
    expect(challenge?.state).toBe(ChallengeState.PROVEN);
    return challengeId;
  };
  const rule = async (fields: object) => {
    const request = { selector: { everyone: true }, strength: PHISHING_RESISTANT, reason: "now", ...fields };
    return service.admin.createEnforcementRule(request, await policyAdmin(service));
  };
  const redeemed = async (challengeId: string) => redeem(service, await backendOf(service), { challengeId });
  return { ...service, evaluate, follow, proven, rule, redeemed };
}

describe.each(engines)("what a decision about a log-in is bound to on $name", (engine) => {
  test("a decision of one backend is followed by no other", async () => {
    const service = await loggingIn(engine);
    const decisionId = await service.evaluate();
    expect((await failure(service.follow(decisionId, {}, "bank"))).reason).toBe("NOT_FOUND");
    expect(await service.follow(decisionId)).toMatch(/^[\w-]{22}$/);
  });

  test("a decision for one session is followed for no other, and for none without one", async () => {
    const service = await loggingIn(engine);
    const decisionId = await service.evaluate({ sessionId: "one" });
    for (const terms of [{ sessionId: "two" }, {}]) {
      const refused = await failure(service.follow(decisionId, terms));
      expect(refused).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "terms.session_id" } });
    }
    expect(await service.follow(decisionId, { sessionId: "one" })).toMatch(/^[\w-]{22}$/);
  });

  test("a decision that named no session is followed for none", async () => {
    const service = await loggingIn(engine);
    const decisionId = await service.evaluate();
    const refused = await failure(service.follow(decisionId, { sessionId: "one" }));
    expect(refused).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "terms.session_id" } });
    expect(await service.follow(decisionId)).toMatch(/^[\w-]{22}$/);
  });

  test.each([
    ["another session than the decision was for", "one", "two"],
    ["no session where the decision was for one", "one", ""],
    ["a session where the decision was for none", "", "two"],
  ])("what is redeemed for %s is refused, and the proof keeps", async (_, stated, other) => {
    const service = await loggingIn(engine);
    const challengeId = await service.proven(await service.evaluate({ sessionId: stated }), { sessionId: stated });
    const shop = await backendOf(service);
    const take = (sessionId: string) => redeem(service, shop, { challengeId, sessionId });
    expect((await failure(take(other))).reason).toBe("ASSERTION_REJECTED");
    expect((await take(stated)).assertion?.acr).toBe("aal2");
  });

  test.each([
    ["for everyone", { selector: { everyone: true } }, {}],
    ["for a role that the backend stated", { selector: { roles: ["admin"] } }, { roles: ["admin"] }],
    ["for a group that the backend stated", { selector: { groups: ["staff"] } }, { groups: ["staff"] }],
    ["for the application", { selector: { applications: ["ssh"] } }, { client: { ...client, application: "ssh" } }],
  ])("a rule %s that comes into force before redemption is asked", async (_, rule, stated) => {
    const service = await loggingIn(engine);
    const challengeId = await service.proven(await service.evaluate(stated));
    service.pass(1_000);
    await service.rule(rule);
    expect((await failure(service.redeemed(challengeId))).reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("a rule that starts while the log-in is under way is asked from then on, by challenges too", async () => {
    const service = await loggingIn(engine);
    const startTime = { seconds: BigInt(Math.floor(service.clock.now.getTime() / 1000) + 60) };
    await service.rule({ startTime });
    const decisionId = await service.evaluate();
    const challengeId = await service.proven(decisionId);
    service.pass(61_000);
    expect((await failure(service.redeemed(challengeId))).reason).toBe("FACTOR_NOT_ALLOWED");
    const next = await service.follow(decisionId);
    const { challenge } = await service.internal.getUserChallenge(
      { userId: "ann", challengeId: next },
      await backendOf(service),
    );
    expect(challenge?.factors).toEqual([]);
  });

  test.each([
    ["is for others", { selector: { roles: ["admin"] } }],
    ["gives grace", { gracePeriod: { seconds: 86_400n } }],
    ["is only reported", { reportOnly: true }],
    ["asks for what was proved", { strength: ANY_FACTOR }],
  ])("a rule that %s lets the log-in go through", async (_, rule) => {
    const service = await loggingIn(engine);
    const challengeId = await service.proven(await service.evaluate({ roles: ["user"] }));
    service.pass(1_000);
    await service.rule(rule);
    expect((await service.redeemed(challengeId)).assertion?.acr).toBe("aal2");
  });
});
