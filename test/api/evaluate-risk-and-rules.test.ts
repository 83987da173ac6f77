import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision, RiskLevel, RiskSignalType } from "../../gen/mfa/v1/risk_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf } from "../support/actors/backend.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { eventsOf } from "../support/report/records.ts";
import { anyOf, riskService } from "../support/worlds/risk.ts";

const { LOW, MEDIUM, HIGH } = RiskLevel;
const { ALLOW, CHALLENGE, ENROLL, DENY } = MfaDecision;
const { ANY_FACTOR, PHISHING_RESISTANT } = AuthenticationStrength;
const { TOTP, WEBAUTHN, BACKUP_CODE } = FactorType;
const DAY_MS = 24 * 3600 * 1000;
const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/605.1";
const worst = [{ name: "bot", value: 1 }];

async function evaluating(engine: EngineUnderTest) {
  const service = await riskService(engine);
  return {
    ...service,
    evaluate: async (request: { client?: object; [field: string]: unknown } = {}) =>
      service.internal.evaluateMfa(
        { userId: "ann", ...request, client: { ip: "203.0.113.7", userAgent: firefox, ...request.client } },
        await backendOf(service),
      ),
    rule: async (request: object) =>
      service.admin.createEnforcementRule(
        { selector: { everyone: true }, strength: ANY_FACTOR, ...request },
        await service.token(),
      ),
  };
}

const heavy = (reasons: readonly { signal: RiskSignalType; weight: number }[]) =>
  reasons.filter(({ weight }) => weight !== 0).map(({ signal }) => RiskSignalType[signal]);

describe.each(engines)("EvaluateMfa by risk on $name", (engine) => {
  test("is of low risk until something is unusual, and says what", async () => {
    const service = await evaluating(engine);
    await enrollApp(service, "ann");
    expect(await service.evaluate()).toMatchObject({ level: LOW, decision: CHALLENGE, policyVersion: 0n });
    const found = await service.evaluate({ signals: worst });
    expect([found.level, heavy(found.reasons)]).toEqual([HIGH, ["CALLER"]]);
    const [newest] = await service.decisions();
    expect(newest).toMatchObject({ decisionId: found.decisionId, level: HIGH, decision: CHALLENGE, userId: "ann" });
    expect(newest?.reasons).toEqual(found.reasons);
    const risky = (await eventsOf(service.store)).filter((event) => event.startsWith("RISK"));
    expect(risky).toEqual(["RISK_ASSESSED UNSPECIFIED"]);
  });

  test("is of high risk where nobody says where the user is", async () => {
    const service = await evaluating(engine);
    const found = await service.evaluate({ client: { ip: "" } });
    expect([found.level, heavy(found.reasons), found.decision]).toEqual([HIGH, ["INVALID_INPUT"], ALLOW]);
  });

  test("knows a device and a network once a log-in with them went through, and not by having been asked", async () => {
    const service = await evaluating(engine);
    const first = await service.evaluate();
    expect([first.decision, heavy(first.reasons)]).toEqual([ALLOW, []]);
    await enrollApp(service, "ann");
    const elsewhere = { client: { ip: "198.51.100.7", userAgent: safari } };
    for (let n = 0; n < 3; n += 1) {
      const found = await service.evaluate(elsewhere);
      expect([found.level, heavy(found.reasons)]).toEqual([MEDIUM, ["NEW_DEVICE", "NEW_NETWORK"]]);
    }
    const known = await service.evaluate({ client: { ip: "203.0.113.99" } });
    expect([known.level, heavy(known.reasons)]).toEqual([LOW, []]);
    // A fingerprint says more than browser and system.
    const printed = await service.evaluate({ deviceFingerprint: "abc" });
    expect(heavy(printed.reasons)).toEqual(["NEW_DEVICE"]);
    service.pass(200 * DAY_MS);
    expect(heavy((await service.evaluate()).reasons)).toEqual(["INACTIVITY"]);
  });

  test("asks for what the level asks for", async () => {
    const service = await evaluating(engine);
    const app = await enrollApp(service, "ann");
    await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    await service.change({ level: LOW, requirement: {} });
    await service.change({ level: MEDIUM, requirement: anyOf([WEBAUTHN], [TOTP]) });
    await service.change({ level: HIGH, requirement: { block: true } });
    expect(await service.evaluate()).toMatchObject({ decision: ALLOW, factors: [], policyVersion: 3n });
    const medium = await service.evaluate({ signals: [{ name: "bot", value: 0.5 }] });
    expect(medium).toMatchObject({ decision: CHALLENGE, factors: [{ type: TOTP, factorId: app.deviceId }] });
    expect(medium.factors).toHaveLength(1);
    expect(await service.evaluate({ signals: worst })).toMatchObject({
      decision: DENY,
      factors: [],
      enrollableTypes: [],
    });
    // Groups and strength must both be met.
    const group = anyOf([WEBAUTHN], [TOTP]);
    await service.change({ level: MEDIUM, version: 2n, requirement: { ...group, strength: PHISHING_RESISTANT } });
    expect((await service.evaluate({ signals: [{ name: "bot", value: 0.5 }] })).decision).toBe(DENY);
    // What the application asks for is asked for besides.
    const both = await service.evaluate({ strength: ANY_FACTOR });
    expect(both.factors.map(({ type }) => type)).toEqual([TOTP, BACKUP_CODE]);
    expect((await service.evaluate({ strength: PHISHING_RESISTANT })).decision).toBe(DENY);
  });

  test.each([
    ["that nobody gave out", `${"A".repeat(22)}.${"B".repeat(43)}`],
    ["that is none", "junk"],
  ])("takes no client for trusted by a token %s", async (_, trustToken) => {
    const service = await evaluating(engine);
    await allowTrust(service);
    await enrollApp(service, "ann");
    const found = await service.evaluate({ trustToken });
    expect(found).toMatchObject({ decision: CHALLENGE, deviceTrust: { trusted: false } });
  });

  test("lets trusted devices stand in at low risk, and ignores them at high risk", async () => {
    const service = await evaluating(engine);
    await allowTrust(service);
    await enrollApp(service, "ann");
    let { trustToken } = await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
    const evaluate = async (request: object) => {
      const found = await service.evaluate({ trustToken, ...request });
      trustToken = found.deviceTrust?.trustToken ?? "";
      return found;
    };
    expect(await evaluate({})).toMatchObject({ level: LOW, decision: ALLOW, deviceTrust: { trusted: true } });
    // Trust weighs less than what two signals say.
    const high = [...worst, { name: "reputation", value: 1 }];
    expect(await evaluate({ signals: high })).toMatchObject({
      level: HIGH,
      decision: CHALLENGE,
      deviceTrust: { trusted: true },
    });
    expect(await evaluate({ signals: worst })).toMatchObject({ level: MEDIUM, decision: CHALLENGE });
    const requirement = { strength: ANY_FACTOR, allowTrusted: true };
    await service.change({ level: MEDIUM, requirement });
    expect(await evaluate({ signals: worst })).toMatchObject({ level: MEDIUM, decision: ALLOW });
  });

  test("answers alike about users that are not known and those without factors, at every level", async () => {
    const service = await evaluating(engine);
    await service.mfa.startTotpEnrollment({}, await service.user("eve"));
    await service.rule({ gracePeriod: durationFromMs(DAY_MS) });
    const firstFactorTime = timestampFromDate(service.clock.now);
    for (const signals of [[], [{ name: "bot", value: 0.5 }], worst]) {
      const both = await Promise.all(
        ["eve", "nobody"].map((userId) => service.evaluate({ userId, signals, firstFactorTime })),
      );
      const [eve, nobody] = both.map((found) => ({
        ...{ ...found, decisionId: "" },
        ticket: found.ticket.length,
      }));
      expect(eve).toEqual(nobody);
    }
  });
});

describe.each(engines)("EvaluateMfa by rules on $name", (engine) => {
  test("lets in for as long as enrollment may be put off, with a ticket, and then asks for it", async () => {
    const service = await evaluating(engine);
    await service.rule({ gracePeriod: durationFromMs(7 * DAY_MS), selector: { roles: ["staff"] } });
    const now = () => timestampFromDate(service.clock.now);
    const evaluate = (request = {}) => service.evaluate({ roles: ["staff"], firstFactorTime: now(), ...request });
    expect(await service.evaluate()).toMatchObject({ decision: ALLOW, enforced: false, ticket: "" });
    const until = timestampFromDate(new Date(service.clock.now.getTime() + 7 * DAY_MS));
    const ticket = expect.stringMatching(/^[\w-]{22}$/);
    const inGrace = { decision: ALLOW, enforced: true, graceUntilTime: until };
    expect(await evaluate()).toMatchObject({ ...inGrace, ticket });
    // Without a fresh first factor there is no ticket, and grace goes on; nor is there one at high risk.
    expect(await evaluate({ firstFactorTime: undefined })).toMatchObject({ ...inGrace, ticket: "" });
    expect(await evaluate({ signals: worst })).toMatchObject({ ...inGrace, ticket: "" });
    service.pass(7 * DAY_MS);
    const over = await evaluate();
    expect(over).toMatchObject({ decision: ENROLL, enforced: true, ticket });
    expect(over.graceUntilTime).toBeUndefined();
    expect(over.enrollableTypes).toContain(TOTP);
    expect(await evaluate({ signals: worst })).toMatchObject({ decision: DENY, ticket: "" });
    expect((await evaluate({ roles: [] })).decision).toBe(ALLOW);
  });

  test("asks who has a factor for it, and for one that is worth what the rule says", async () => {
    const service = await evaluating(engine);
    await enrollApp(service, "ann");
    await service.change({ level: LOW, requirement: {} });
    expect((await service.evaluate()).decision).toBe(ALLOW);
    const { rule } = await service.rule({});
    expect(await service.evaluate()).toMatchObject({ decision: CHALLENGE, enforced: true, strength: ANY_FACTOR });
    const change = { ruleId: rule?.ruleId ?? "", version: 1n, strength: PHISHING_RESISTANT };
    await service.admin.updateEnforcementRule(change, await service.token());
    expect(await service.evaluate()).toMatchObject({ decision: ENROLL, strength: PHISHING_RESISTANT });
  });

  test("only says what a rule on trial would do", async () => {
    const service = await evaluating(engine);
    await enrollApp(service, "ann");
    const trial = { reportOnly: true, strength: PHISHING_RESISTANT, gracePeriod: durationFromMs(7 * DAY_MS) };
    await service.rule({ ...trial, selector: { groups: ["ops"] } });
    const { UNSPECIFIED } = MfaDecision;
    expect(await service.evaluate({ groups: ["ops"] })).toMatchObject({
      ...{ decision: CHALLENGE, reportOnlyDecision: ENROLL, enforced: false },
    });
    expect(await service.evaluate()).toMatchObject({ decision: CHALLENGE, reportOnlyDecision: UNSPECIFIED });
    const found = await service.evaluate({ userId: "bob", groups: ["ops"] });
    expect(found).toMatchObject({ decision: ALLOW, reportOnlyDecision: ENROLL, ticket: "" });
  });

  test("tells dry runs of risk what rules demand by now", async () => {
    const service = await evaluating(engine);
    await service.rule({});
    expect((await service.judge({ userId: "bob" })).decision?.decision).toBe(ENROLL);
  });
});
