import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision, RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { offeredTo } from "../support/actors/log-in.ts";
import { enrollPhone, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { anyOf, policyAdmin, riskService } from "../support/worlds/risk.ts";

const { LOW, MEDIUM } = RiskLevel;
const { TOTP, PUSH, WEBAUTHN, SMS } = FactorType;
const { PHISHING_RESISTANT, ANY_FACTOR } = AuthenticationStrength;
const nobodyCould = { reason: "POLICY_UNSATISFIABLE" };

/** A service whose policy an administrator changes, and settings likewise. */
async function governed(engine: EngineUnderTest) {
  const service = await riskService(engine);
  const versionOf = async (level: RiskLevel) => (await service.levels()).find((one) => one.level === level)?.version;
  return {
    ...service,
    set: async (groups: object) => {
      const admin = await policyAdmin(service);
      const { settings } = await service.admin.getTenantSettings({}, admin);
      return service.admin.updateTenantSettings({ ...groups, version: settings?.version ?? 0n }, admin);
    },
    ask: async (level: RiskLevel, request: object) =>
      service.change({ level, version: (await versionOf(level)) ?? 0n, ...request }),
    rule: async (request: object = {}) =>
      service.admin.createEnforcementRule(
        { selector: { everyone: true }, strength: ANY_FACTOR, ...request },
        await policyAdmin(service),
      ),
  };
}

describe.each(engines)("a policy that nobody could meet on $name", (engine) => {
  test("push is not switched off under a level that asks for push, and all else about the settings stays possible", async () => {
    const service = await governed(engine);
    await switchPushOn(service);
    await service.ask(MEDIUM, { requirement: anyOf([PUSH]) });
    const refused = await failure(service.set({ push: { enabled: false } }));
    expect(refused).toMatchObject({ ...nobodyCould, metadata: { level: "MEDIUM" } });
    expect((await service.admin.getTenantSettings({}, await service.token())).settings?.push?.enabled).toBe(true);
    await service.set({ totp: { issuer: "Shop" } });
    await service.ask(MEDIUM, { requirement: anyOf([PUSH], [TOTP]) });
    await service.set({ push: { enabled: false } });
  });

  test("a level that is switched on again is looked at like a new one", async () => {
    const service = await governed(engine);
    await switchPushOn(service);
    await service.ask(MEDIUM, { requirement: anyOf([PUSH]) });
    await service.ask(MEDIUM, { enabled: false });
    await service.set({ push: { enabled: false } });
    const refused = await failure(service.ask(MEDIUM, { enabled: true }));
    expect(refused).toMatchObject({ ...nobodyCould, metadata: { level: "MEDIUM" } });
    await service.ask(MEDIUM, { description: "later" });
    await service.set({ push: { enabled: true } });
    await service.ask(MEDIUM, { enabled: true });
  });

  test("a rule and a level that nobody could meet together are refused, whichever comes second", async () => {
    const service = await governed(engine);
    const { rule } = await service.rule({ strength: PHISHING_RESISTANT, reportOnly: true });
    await service.ask(LOW, { requirement: anyOf([TOTP]) });
    const ruleId = rule?.ruleId ?? "";
    const admin = await policyAdmin(service);
    const enforce = { ruleId, reportOnly: false, version: rule?.version ?? 0n };
    const refused = await failure(service.admin.updateEnforcementRule(enforce, admin));
    expect(refused).toMatchObject({ ...nobodyCould, metadata: { level: "LOW", rule_id: ruleId } });
    expect(await failure(service.rule({ strength: PHISHING_RESISTANT }))).toMatchObject(nobodyCould);
    await service.ask(LOW, { requirement: anyOf([TOTP], [WEBAUTHN]) });
    await service.admin.updateEnforcementRule(enforce, admin);
    const back = await failure(service.ask(LOW, { requirement: anyOf([TOTP]) }));
    expect(back).toMatchObject({ ...nobodyCould, metadata: { level: "LOW", rule_id: ruleId } });
    const whole = { lowRisk: anyOf([TOTP]), mediumRisk: anyOf([TOTP]), highRisk: anyOf([TOTP]) };
    const { version } = await service.whole();
    expect(await failure(service.replace({ policy: whole, version }))).toMatchObject(nobodyCould);
  });

  test("of settings and a level that change at once, one is refused where they cannot hold together", async () => {
    const service = await governed(engine);
    await switchPushOn(service);
    const outcomes = await Promise.all([
      failureOf(service.set({ push: { enabled: false } })),
      failureOf(service.ask(MEDIUM, { requirement: anyOf([PUSH]) })),
    ]);
    expect(outcomes.toSorted()).toEqual(["OK", "POLICY_UNSATISFIABLE"]);
  });

  test("who changes settings is told how many users are left without a factor that is admitted", async () => {
    const service = await governed(engine);
    await switchOn(service);
    for (const [n, user] of ["ann", "bob"].entries()) await enrollPhone(service, user, phone(n));
    await enrollApp(service, "bob", "aal2");
    await enrollPasskey(service, "eve");
    const { warnings } = await service.set({ sms: { enabled: false } });
    expect(warnings).toEqual([
      "known users whose only factors are no longer admitted: 1",
      "known users of whose factors some are no longer admitted: 1",
      "known users whose factors no longer meet the low level: 1",
      "known users whose factors no longer meet the medium level: 1",
      "known users whose factors no longer meet the high level: 1",
    ]);
    expect((await service.set({ webauthn: { denySynced: true } })).warnings).toEqual([]);
    expect((await service.set({ sms: { enabled: true, allowedCountries: ["DE"] } })).warnings).toEqual([]);
    await service.rule({ strength: AuthenticationStrength.UNRESTRICTED });
    const admin = await policyAdmin(service);
    const { rules } = await service.admin.listEnforcementRules({}, admin);
    await enrollPasskey(service, "ann");
    const strict = await service.set({ webauthn: { attachment: 2 } });
    expect(strict.warnings).toContain(`known users whose factors no longer meet the rule ${rules[0]?.ruleId}: 2`);
  });

  test("who changes a level is told how many users have factors that do not meet it", async () => {
    const service = await governed(engine);
    await enrollApp(service, "ann");
    await service.mfa.startTotpEnrollment({}, await service.user("new"));
    const { warnings } = await service.ask(MEDIUM, { requirement: { strength: PHISHING_RESISTANT } });
    expect(warnings).toEqual([
      "the high level asks for less than the medium level",
      "known users without a factor, who have to enroll: 1",
      "known users whose factors do not meet the medium level: 1",
    ]);
  });

  test("nobody is sent to enroll a kind that would not help", async () => {
    const service = await governed(engine);
    await switchOn(service);
    await switchPushOn(service);
    await service.ask(LOW, { requirement: anyOf([TOTP, PUSH], [SMS]) });
    await service.set({ push: { enabled: false } });
    const firstFactorTime = { seconds: BigInt(service.clock.now.getTime() / 1000), nanos: 0 };
    const found = await offeredTo(service, "new", { firstFactorTime });
    expect(found).toMatchObject({ decision: MfaDecision.ENROLL, enrollableTypes: [SMS] });
    await pairPhone(service, "nobody").catch(() => undefined);
  });
});

const failureOf = (call: Promise<unknown>) =>
  call.then(
    () => "OK",
    ({ reason, rawMessage }: { reason?: string; rawMessage?: string }) => reason ?? rawMessage ?? "",
  );
