import { describe, expect, test } from "vitest";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { RiskLevel, RiskSignalType } from "../../gen/mfa/v1/risk_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { offeredTo } from "../support/actors/log-in.ts";
import { askPhone, pairPhone, startPush } from "../support/actors/push-phones.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { anyOf, policyAdmin, riskService } from "../support/worlds/risk.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const { HIGH, MEDIUM } = RiskLevel;

describe.each(engines)("what a policy administrator tries and changes on $name", (engine) => {
  test.each([
    ["an address that is none", { client: { ip: "garbage" } }],
    ["no address", { client: {} }],
    ["an address with a port", { client: { ip: "203.0.113.7:443" } }],
    ["an address that reads differently elsewhere", { client: { ip: "010.0.0.1" } }],
  ])("%s is judged by the strictest level, and is no error", async (_, request) => {
    const service = await riskService(engine);
    const { decision } = await service.judge({ dryRun: true, ...request });
    expect(decision).toMatchObject({ level: HIGH, reasons: [{ signal: RiskSignalType.INVALID_INPUT }] });
  });

  test("a browser that says more than is kept is no error either", async () => {
    const service = await riskService(engine);
    const client = { ip: "203.0.113.7", userAgent: "x".repeat(600), application: "\u0000shop" };
    expect((await service.judge({ client })).decision).toMatchObject({ application: "shop" });
  });

  test("who may only read leaves no record of what they tried", async () => {
    const service = await riskService(engine);
    const viewer = await adminOf(service, "mfa.read");
    const request = { userId: "ann", client: { ip: "203.0.113.7" } };
    expect((await service.admin.evaluateRisk(request, viewer)).decision).toMatchObject({
      userId: "ann",
      decisionId: "",
    });
    expect(await service.decisions()).toEqual([]);
    expect((await service.judge({})).decision?.decisionId).not.toBe("");
    expect(await service.decisions()).toHaveLength(1);
  });

  test("what a caller saw a signal by is recorded with the decision, and not judged", async () => {
    const service = await riskService(engine);
    const signals = [
      { name: "ip_reputation", value: 0.5, detail: "listed by three feeds" },
      { name: "velocity", value: 0, detail: "one log-in in an hour" },
      { name: "proxy", value: 0 },
    ];
    const found = await offeredTo(service, "ann", { signals });
    const [kept] = await service.decisions();
    for (const reasons of [found.reasons, kept?.reasons ?? []]) {
      expect(reasons.filter(({ signal }) => signal === RiskSignalType.CALLER)).toMatchObject([
        { name: "ip_reputation", detail: "listed by three feeds", weight: 0.3 },
        { name: "velocity", detail: "one log-in in an hour", weight: 0 },
      ]);
    }
    expect(kept?.level).toBe(MEDIUM);
  });

  test("an update that changes nothing says so and leaves no entry", async () => {
    const service = await riskService(engine);
    const requirement = anyOf([1]);
    const { policy } = await service.change({ level: MEDIUM, requirement });
    const version = policy?.version ?? 0n;
    const empty = { reason: "EMPTY_UPDATE" };
    expect(await failure(service.change({ level: MEDIUM, requirement, version }))).toMatchObject(empty);
    expect(await failure(service.change({ level: MEDIUM, enabled: true, version }))).toMatchObject(empty);
    const admin = await policyAdmin(service);
    const rule = { selector: { everyone: true }, strength: AuthenticationStrength.ANY_FACTOR };
    const { rule: made } = await service.admin.createEnforcementRule(rule, admin);
    const same = { ruleId: made?.ruleId ?? "", version: made?.version ?? 0n, ...rule };
    expect(await failure(service.admin.updateEnforcementRule(same, admin))).toMatchObject(empty);
    const { entry } = await service.admin.createIpWhitelistEntry({ cidr: "203.0.113.0/24", label: "office" }, admin);
    const listed = { entryId: entry?.entryId ?? "", version: entry?.version ?? 0n, label: "office" };
    expect(await failure(service.admin.updateIpWhitelistEntry(listed, admin))).toMatchObject(empty);
  });
});

describe.each(engines)("what the contract says in passing on $name", (engine) => {
  test("a phone that may not approve is not called an administrator", async () => {
    const { service } = await startPush(engine);
    const phone = await pairPhone(service, "ann", { session: "one" });
    await pairPhone(service, "ann", { session: "two", acr: "aal2" });
    const page = await askPhone(service, "ann", {}, "one");
    const guessed = { pushChallengeId: page.pushChallengeId, nonce: Buffer.alloc(16), actionDigest: Buffer.alloc(0) };
    const refused = await phone.approve(guessed, page.number).catch((error: unknown) => error);
    expect(refused).toMatchObject({ reason: "SELF_ACTION" });
    expect(String(refused)).not.toContain("administrators");
  });

  test("the epoch grows when all trust is ended by a backend, and by no client that is trusted or trusted no more", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const epoch = async () => (await service.mfa.getMfaStatus({}, token)).status?.mfaEpoch;
    const before = await epoch();
    const { device } = await service.mfa.trustDevice({}, token);
    await service.mfa.revokeTrustedDevice({ trustedDeviceId: device?.trustedDeviceId ?? "" }, token);
    expect(await epoch()).toBe(before);
    const backend = await service.backend("mfa.factors.write");
    const { mfaEpoch } = await service.internal.revokeUserTrust({ userId: "ann", reason: "password changed" }, backend);
    expect(mfaEpoch).toBe((before ?? 0n) + 1n);
  });
});
