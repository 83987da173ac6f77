import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision, RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import type { Store } from "../../src/db/store.ts";
import { enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, redeem } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const client = { ip: "203.0.113.7" };
const { ANY_FACTOR, PHISHING_RESISTANT } = AuthenticationStrength;

/** An engine whose units are counted. */
function counting(engine: EngineUnderTest) {
  const count = { units: 0 };
  const open = async () => {
    const opened = await engine.open();
    const read: Store["read"] = (work) => {
      count.units++;
      return opened.store.read(work);
    };
    const write: Store["write"] = (work) => {
      count.units++;
      return opened.store.write(work);
    };
    return { ...opened, store: { ...opened.store, read, write } };
  };
  return { count, engine: { ...engine, open } };
}

describe.each(engines)("EvaluateMfa on $name", (engine) => {
  test("a user with a factor is challenged, with the factors on offer", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const found = await service.internal.evaluateMfa({ userId: "ann", client }, backend);
    expect(found).toMatchObject({
      decision: MfaDecision.CHALLENGE,
      level: RiskLevel.LOW,
      strength: ANY_FACTOR,
      factors: [{ factorId: app.deviceId, type: FactorType.TOTP, primary: true }],
      ticket: "",
      mfaEpoch: 1n,
    });
    const challengeId = await createFor(service, "ann", backend);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    const { assertion, mfaEpoch } = await redeem(service, backend, { challengeId });
    expect([assertion?.acr, mfaEpoch]).toEqual(["aal2", found.mfaEpoch]);
  });

  test("who has no factor is let in, as there are no rules; unknown users answer alike", async () => {
    const service = await serviceForTest(engine);
    const backend = await backendOf(service);
    await service.mfa.startTotpEnrollment({}, await service.user("eve"));
    const [eve, nobody] = await Promise.all(
      ["eve", "nobody"].map((userId) => service.internal.evaluateMfa({ userId, client }, backend)),
    );
    expect({ ...eve, decisionId: "" }).toEqual({ ...nobody, decisionId: "" });
    expect(eve).toMatchObject({ decision: MfaDecision.ALLOW, factors: [], ticket: "" });
  });

  test("an unknown user costs as many units of the store as one who has no factor", async () => {
    const { count, engine: counted } = counting(engine);
    const service = await serviceForTest(counted);
    await service.mfa.startTotpEnrollment({}, await service.user("eve"));
    const backend = await backendOf(service);
    const unitsOf = async (userId: string) => {
      const before = count.units;
      await service.internal.evaluateMfa({ userId, client }, backend);
      return count.units - before;
    };
    // What a tenant's first call reads and keeps is read.
    await unitsOf("somebody");
    const known = await unitsOf("eve");
    expect(known).toBeGreaterThan(0);
    expect(await unitsOf("nobody")).toBe(known);
  });

  test("where the application demands a factor of a user without one, a ticket enrolls the first", async () => {
    const service = await serviceForTest(engine);
    const backend = await backendOf(service);
    const request = { userId: "bob", client, strength: ANY_FACTOR };
    const stale = await failure(service.internal.evaluateMfa(request, backend));
    expect(stale).toMatchObject({ code: status.UNAUTHENTICATED, metadata: { acr_values: "aal1", max_age: "300" } });
    const firstFactorTime = timestampFromDate(service.clock.now);
    const found = await service.internal.evaluateMfa({ ...request, firstFactorTime }, backend);
    expect(found).toMatchObject({ decision: MfaDecision.ENROLL, ticket: expect.stringMatching(/^[\w-]{22}$/) });
    expect(found.enrollableTypes).toContain(FactorType.TOTP);
    const headers = { authorization: `Ticket ${found.ticket}` };
    const { provisioning } = await service.mfa.startTotpEnrollment({}, undefined, headers);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, undefined, headers);
    const after = await service.internal.evaluateMfa({ ...request, firstFactorTime }, backend);
    expect(after).toMatchObject({ decision: MfaDecision.CHALLENGE, ticket: "" });
  });

  test("what no factor of the user can give is denied", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const request = { userId: "ann", client, strength: PHISHING_RESISTANT };
    const found = await service.internal.evaluateMfa(request, await backendOf(service));
    expect(found).toMatchObject({ decision: MfaDecision.DENY, factors: [] });
  });

  test("a lock is shown, and takes the locked kinds off the offer", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const code = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(service.internal.verifyUserTotpCode({ userId: "ann", code }, backend));
    const found = await service.internal.evaluateMfa({ userId: "ann", client }, backend);
    expect(found).toMatchObject({ decision: MfaDecision.CHALLENGE, factors: [], lock: { codesLocked: true } });
  });

  test("a changed password ends open challenges", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const revoke = { userId: "ann", reason: "password changed" };
    const reply = await service.internal.revokeUserTrust(revoke, await service.backend("mfa.factors.write"));
    expect(reply).toMatchObject({ cancelledChallengeCount: 1, mfaEpoch: 2n });
    expect((await service.mfa.getMfaStatus({}, await service.user("ann"))).status?.enrolled).toBe(true);
    const late = await failure(answer(service, backend, { userId: "ann", challengeId, code: await app.code() }));
    expect(late.reason).toBe("CHALLENGE_EXPIRED");
  });
});
