import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { anyOf, DEFAULTS, riskService } from "../support/worlds/risk.ts";
import { setTenant } from "../support/worlds/service.ts";

const { LOW, MEDIUM, HIGH } = RiskLevel;
const { ANY_FACTOR, UNRESTRICTED, PHISHING_RESISTANT, DEVICE_BOUND } = AuthenticationStrength;
const { TOTP, WEBAUTHN, SMS, EMAIL, BACKUP_CODE } = FactorType;

describe.each(engines)("the risk policy on $name", (engine) => {
  test("is three levels, defaults until somebody changes them, and one view of the same rows", async () => {
    const service = await riskService(engine);
    const levels = await service.levels();
    expect(levels.map(({ level, version, defaultPolicy }) => [level, version, defaultPolicy])).toEqual([
      [LOW, 0n, true],
      [MEDIUM, 0n, true],
      [HIGH, 0n, true],
    ]);
    expect(levels.map(({ requirement }) => requirement?.allowTrusted)).toEqual([true, false, false]);
    for (const { policyId, createTime, updateTime } of levels) {
      expect([policyId, createTime, updateTime]).toEqual(["", undefined, undefined]);
    }
    expect(await service.whole()).toMatchObject({ policy: DEFAULTS, version: 0n });

    const requirement = { ...anyOf([WEBAUTHN], [TOTP, BACKUP_CODE]), strength: ANY_FACTOR };
    const { policy } = await service.change({ level: MEDIUM, requirement, description: "passkeys first" });
    expect(policy).toMatchObject({ level: MEDIUM, requirement, description: "passkeys first", version: 1n });
    expect(policy).toMatchObject({ enabled: true, defaultPolicy: false, createTime: expect.anything() });
    expect((await service.levels())[1]).toEqual(policy);
    expect(await service.whole()).toMatchObject({ policy: { ...DEFAULTS, mediumRisk: requirement }, version: 1n });

    const highRisk = { strength: UNRESTRICTED };
    const whole = { ...DEFAULTS, mediumRisk: { strength: UNRESTRICTED, allowTrusted: true }, highRisk };
    service.pass(1000);
    expect(await service.replace({ policy: whole, version: 1n, reason: "audit" })).toMatchObject({
      ...{ policy: whole, version: 2n },
      warnings: [],
    });
    const [, medium, high] = await service.levels();
    expect(medium).toMatchObject({ policyId: policy?.policyId, description: "passkeys first", version: 2n });
    expect(medium?.createTime).toEqual(policy?.createTime);
    expect(medium?.updateTime).toEqual(timestampFromDate(service.clock.now));
    expect(medium?.updateTime).not.toEqual(policy?.updateTime);
    expect(high).toMatchObject({ requirement: highRisk, version: 2n, defaultPolicy: false });
  });

  test("records each change once, with what was and what is", async () => {
    const service = await riskService(engine);
    await service.change({ level: HIGH, requirement: { block: true }, reason: "under attack" });
    await service.reset(HIGH);
    await service.reset(HIGH);
    await service.replace({ policy: DEFAULTS, version: 2n, reason: "explicit" });
    const filter = { module: "risk_policy" };
    const { entries } = await service.admin.listConfigAuditLogs({ filter }, await service.token());
    const blocks = (state: object | undefined) => state && JSON.parse(JSON.stringify(state));
    expect(entries.map(({ action, targetId, reason }) => [action, targetId, reason])).toEqual([
      ["risk_policy.replaced", "dev", "explicit"],
      ["risk_policy.deleted", "HIGH", "undone"],
      ["risk_policy.updated", "HIGH", "under attack"],
    ]);
    expect(blocks(entries[2]?.after)).toMatchObject({ block: true, enabled: true });
    expect(entries[2]?.before).toBeUndefined();
    expect(blocks(entries[1]?.before)).toMatchObject({ block: true });
    expect(blocks(entries[0]?.before)).toMatchObject({ HIGH: { block: false, strength: "ANY_FACTOR" } });
  });

  test("goes back to the default of a level, and gives no version twice", async () => {
    const service = await riskService(engine);
    await service.change({ level: LOW, requirement: { strength: PHISHING_RESISTANT } });
    const back = await service.reset(LOW);
    expect(back).toMatchObject({ level: LOW, defaultPolicy: true, version: 0n, policyId: "" });
    expect(back?.requirement).toMatchObject(DEFAULTS.lowRisk);
    expect([back?.createTime, back?.updateTime]).toEqual([undefined, undefined]);
    expect((await service.whole()).policy).toMatchObject(DEFAULTS);
    expect(await service.reset(LOW)).toMatchObject({ level: LOW, defaultPolicy: true });
    const { policy } = await service.change({ level: LOW, requirement: { strength: UNRESTRICTED } });
    expect(policy?.version).toBe(3n);
    // What was read before the deletion is no basis any more.
    const late = await failure(service.change({ level: LOW, version: 1n, requirement: { block: true } }));
    expect([late.reason, late.metadata.version]).toEqual(["STALE_VERSION", "3"]);
    expect((await service.whole()).version).toBe(3n);
  });

  test("leaves the default in force where a level is disabled", async () => {
    const service = await riskService(engine);
    await service.change({ level: LOW, requirement: { block: true } });
    const { policy } = await service.change({ level: LOW, version: 1n, enabled: false });
    expect(policy).toMatchObject({ enabled: false, requirement: { block: true } });
    expect((await service.whole()).policy).toMatchObject(DEFAULTS);
  });

  test("lets one of many changes of the same version win", async () => {
    const service = await riskService(engine);
    const one = Array.from({ length: 10 }, (_, n) => service.change({ level: LOW, description: `try ${n}` }));
    expect(await tally(one)).toEqual({ OK: 1, STALE_VERSION: 9 });
    const all = Array.from({ length: 10 }, () => service.replace({ policy: DEFAULTS, version: 1n }));
    expect(await tally(all)).toEqual({ OK: 1, STALE_VERSION: 9 });
    const stale = await failure(service.replace({ policy: DEFAULTS, version: 1n }));
    expect([stale.reason, stale.metadata.version]).toEqual(["STALE_VERSION", "2"]);
    expect((await service.whole()).version).toBe(2n);
  });

  test("refuses what no user of the tenant could satisfy, and changes nothing", async () => {
    const service = await riskService(engine);
    const refused = [anyOf([SMS]), anyOf([SMS], [EMAIL]), anyOf([TOTP, SMS])];
    const tooStrong = [
      { ...anyOf([TOTP]), strength: PHISHING_RESISTANT },
      { ...anyOf([BACKUP_CODE, TOTP]), strength: DEVICE_BOUND },
    ];
    for (const requirement of [...refused, ...tooStrong]) {
      const change = await failure(service.change({ level: MEDIUM, requirement }));
      expect([change.reason, change.metadata.level], JSON.stringify(requirement)).toEqual([
        "POLICY_UNSATISFIABLE",
        "MEDIUM",
      ]);
      const whole = await failure(service.replace({ policy: { ...DEFAULTS, mediumRisk: requirement } }));
      expect(whole.reason).toBe("POLICY_UNSATISFIABLE");
    }
    expect((await service.whole()).version).toBe(0n);
    // One group that can be met is enough, and a block is meant.
    await service.change({ level: MEDIUM, requirement: anyOf([SMS], [WEBAUTHN, TOTP]) });
    await service.change({ level: HIGH, requirement: { ...anyOf([SMS]), block: true } });
    await setTenant(service, { sms: { enabled: true, allowedCountries: ["DE"] } });
    service.pass(2000);
    await service.change({ level: LOW, requirement: anyOf([SMS]) });
    const restricted = { ...anyOf([SMS]), strength: UNRESTRICTED };
    expect((await failure(service.change({ level: LOW, version: 3n, requirement: restricted }))).reason).toBe(
      "POLICY_UNSATISFIABLE",
    );
  });

  test("never lets trusted devices stand in at high risk", async () => {
    const service = await riskService(engine);
    const requirement = { strength: ANY_FACTOR, allowTrusted: true };
    const change = await failure(service.change({ level: HIGH, requirement }));
    expect([change.reason, change.metadata.field]).toEqual(["INVALID_FIELD", "requirement.allow_trusted"]);
    const whole = await failure(service.replace({ policy: { ...DEFAULTS, highRisk: requirement } }));
    expect([whole.reason, whole.metadata.field]).toEqual(["INVALID_FIELD", "policy.high_risk.allow_trusted"]);
  });

  test("refuses changes that say nothing, or not of which level, or leave one out", async () => {
    const service = await riskService(engine);
    expect((await failure(service.change({ level: LOW, reason: "none" }))).reason).toBe("EMPTY_UPDATE");
    expect((await failure(service.change({ description: "x" }))).reason).toBe("INVALID_FIELD");
    expect((await failure(service.change({ level: 9, description: "x" }))).reason).toBe("INVALID_FIELD");
    expect((await failure(service.reset(0))).reason).toBe("INVALID_FIELD");
    const { lowRisk, mediumRisk } = DEFAULTS;
    expect((await failure(service.replace({ policy: { lowRisk, mediumRisk } }))).reason).toBe("INVALID_FIELD");
    const twice = anyOf([TOTP, TOTP]);
    expect((await failure(service.change({ level: LOW, requirement: twice }))).reason).toBe("INVALID_FIELD");
  });

  test("warns of levels that ask for less than those below, for nothing, or block everybody", async () => {
    const service = await riskService(engine);
    const { warnings } = await service.change({ level: LOW, requirement: { strength: PHISHING_RESISTANT } });
    expect(warnings).toEqual(["the medium level asks for less than the low level"]);
    const { warnings: nothing } = await service.change({ level: LOW, version: 1n, requirement: {} });
    expect(nothing).toEqual(["the low level asks for nothing, also of users who have a factor"]);
    const mediumRisk = { strength: ANY_FACTOR, allowTrusted: true };
    const policy = { lowRisk: { strength: ANY_FACTOR }, mediumRisk, highRisk: { block: true } };
    expect((await service.replace({ policy, version: 2n })).warnings).toEqual([
      "the medium level lets trusted devices stand in, and the low level does not",
      "the high level is blocked: nobody logs in at it",
    ]);
  });

  test("tells how many users have to enroll for what is put to everybody", async () => {
    const service = await riskService(engine);
    await enrollApp(service, "ann");
    await service.mfa.startTotpEnrollment({}, await service.user("bob"));
    const warned = "known users without a factor, who have to enroll: 1";
    const strong = { strength: UNRESTRICTED };
    const { warnings } = await service.change({ level: HIGH, requirement: strong });
    expect(warnings).toEqual([warned]);
    expect(
      (await service.change({ level: HIGH, version: 1n, requirement: { strength: ANY_FACTOR } })).warnings,
    ).toEqual([]);
    const policy = { lowRisk: anyOf([TOTP]), mediumRisk: strong, highRisk: { ...strong, block: true } };
    expect((await service.replace({ policy, version: 2n })).warnings).toContain(warned);
    const blocked = { ...DEFAULTS, highRisk: { ...strong, block: true } };
    expect((await service.replace({ policy: blocked, version: 3n })).warnings).not.toContain(warned);
  });

  test("is listed page by page, and keeps tenants apart", async () => {
    const service = await riskService(engine);
    await service.change({ level: HIGH, requirement: { block: true } }, "other");
    expect((await service.whole()).version).toBe(0n);
    expect((await service.whole("other")).policy?.highRisk?.block).toBe(true);
    const token = await service.token();
    const first = await service.admin.listRiskPolicies({ pageSize: 2 }, token);
    expect(first.policies.map(({ level }) => level)).toEqual([LOW, MEDIUM]);
    const { policies, nextPageToken } = await service.admin.listRiskPolicies(
      { pageSize: 2, pageToken: first.nextPageToken },
      token,
    );
    expect([policies.map(({ level }) => level), nextPageToken]).toEqual([[HIGH], ""]);
  });
});
