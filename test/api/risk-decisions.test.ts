import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision, RiskLevel, RiskSignalType } from "../../gen/mfa/v1/risk_pb.js";
import { START } from "../../src/db/page.ts";
import { riskDecisionRepository } from "../../src/risk/risk-decisions.repository.ts";
import { forgetRiskDecisions } from "../../src/risk/risk-decisions.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { askPhone, pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { eventsOf } from "../support/report/records.ts";
import { anyOf, DEFAULTS, riskService } from "../support/worlds/risk.ts";
import type { ServiceUnderTest } from "../support/worlds/service.ts";

const { LOW, MEDIUM, HIGH } = RiskLevel;
const { ALLOW, CHALLENGE, ENROLL, DENY } = MfaDecision;
const { TOTP, WEBAUTHN } = FactorType;
const { PHISHING_RESISTANT } = AuthenticationStrength;
const DAY_MS = 24 * 3600 * 1000;

const signals = (reasons: readonly { signal: RiskSignalType; weight: number }[] | undefined) =>
  (reasons ?? []).filter(({ weight }) => weight !== 0).map(({ signal, weight }) => [RiskSignalType[signal], weight]);

/** So many decisions of long ago: the second of high risk, all others of low. */
async function decided(service: ServiceUnderTest, { name }: EngineUnderTest, count: number) {
  const [time, no] = name === "sqlite" ? [(n: number) => `${n}`, "0"] : [(n: number) => `to_timestamp(${n})`, "false"];
  const asked = JSON.stringify({ anyOf: [], strength: "ANY_FACTOR", block: false, allowTrusted: true });
  const nobody = { held: [], enrolled: false, trusted: false, asked: "UNSPECIFIED", enforced: "UNSPECIFIED" };
  const values = Array.from({ length: count }, (_, n) => {
    const level = n === 1 ? "HIGH" : "LOW";
    return `('dev', 'd-${String(n).padStart(5, "0")}', 'u-${n % 3}', '${level}', 'ALLOW', '[]', '${asked}', '${JSON.stringify(nobody)}', ${no}, 0, '', '', ${time(n >> 3)})`;
  });
  await service.execute(
    `INSERT INTO risk_decisions (tenant_id, decision_id, user_id, level, decision, reasons, requirement, standing,
      new_device, policy_version, ip, application, create_time) VALUES ${values.join()}`,
  );
}

describe.each(engines)("ListRiskDecisions on $name", (engine) => {
  test("finds a rare one in a long list without any unit looking through it all", async () => {
    const service = await riskService(engine);
    await decided(service, engine, 12_001);
    const everything = { userId: "", level: "", decision: "", since: new Date(0), until: new Date(1e12) };
    const look = (more: object, position = START, size = 10) =>
      service.store.read((tx) =>
        riskDecisionRepository(tx).list("dev", { ...everything, ...more }, { position, size }, 5_000),
      );
    const first = await look({ level: "HIGH" });
    expect([first.rows, first.next?.id]).toEqual([[], "d-07001"]);
    const second = await look({ level: "HIGH" }, first.next);
    expect([second.rows, second.next?.id]).toEqual([[], "d-02001"]);
    const third = await look({ level: "HIGH" }, second.next);
    expect([third.rows.map(({ decisionId }) => decisionId), third.next]).toEqual([["d-00001"], undefined]);
    expect((await look({ level: "HIGH", since: new Date(1e11) })).next).toBeUndefined();

    const rare = await service.admin.listRiskDecisions({ level: HIGH }, await service.token());
    expect([rare.decisions.map(({ decisionId }) => decisionId), rare.nextPageToken]).toEqual([["d-00001"], ""]);
    expect((await service.decisions({ level: HIGH, userId: "u-1" })).length).toBe(1);
    expect(await service.decisions({ level: HIGH, userId: "u-2" })).toEqual([]);
    let [seen, pageToken] = [0, ""];
    do {
      const page = await service.admin.listRiskDecisions({ pageSize: 250, pageToken }, await service.token());
      seen += page.decisions.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen).toBe(12_001);
  });
});

describe.each(engines)("EvaluateRisk on $name", (engine) => {
  test("says how risky a log-in is, what it needs and why, and keeps it", async () => {
    const service = await riskService(engine);
    await enrollApp(service, "ann");
    const request = { signals: [{ name: "ip_reputation", value: 0.75, detail: "listed twice" }] };
    const client = { ip: "::ffff:203.0.113.7", application: "shop" };
    const { decision, requiredFactorTypes } = await service.judge({ ...request, client });
    expect(decision).toMatchObject({
      ...{ userId: "ann", level: MEDIUM, decision: CHALLENGE, newDevice: true, policyVersion: 0n },
      ...{ ip: "203.0.113.7", application: "shop", requirement: DEFAULTS.mediumRisk },
      decisionId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      createTime: timestampFromDate(service.clock.now),
    });
    const caller = decision?.reasons.find(({ signal }) => signal === RiskSignalType.CALLER);
    expect(caller).toMatchObject({ name: "ip_reputation", value: "0.75", weight: 0.45, rule: "caller" });
    // Without a file of places, that is said.
    const absent = decision?.reasons
      .filter(({ rule }) => rule === "absent")
      .map(({ signal }) => RiskSignalType[signal]);
    expect(absent).toEqual(["NEW_COUNTRY", "IMPOSSIBLE_TRAVEL"]);
    expect(requiredFactorTypes).toEqual([TOTP]);
    expect(await service.decisions()).toEqual([decision]);
    expect((await eventsOf(service.store)).filter((event) => event.startsWith("RISK"))).toEqual([]);
  });

  test("reads of its client what a log-in's is read for: no control characters", async () => {
    const service = await riskService(engine);
    const backend = await service.backend("mfa.verify");
    const client = { ip: "203.0.113.7", userAgent: "curl/8\u0000.5", application: "shop\u0000" };
    await service.internal.evaluateMfa({ userId: "ann", client }, backend);
    const { decision } = await service.judge({ client });
    expect(decision).toMatchObject({ application: "shop", newDevice: false });
    expect((await service.decisions()).map(({ application }) => application)).toEqual(["shop", "shop"]);
  });

  test("keeps nothing of a dry run or a candidate, which is judged by in place of the policy", async () => {
    const service = await riskService(engine);
    await enrollApp(service, "ann");
    const dry = await service.judge({ dryRun: true });
    expect(dry.decision).toMatchObject({ decisionId: "", level: LOW, decision: CHALLENGE });
    const candidate = { ...DEFAULTS, lowRisk: anyOf([WEBAUTHN]) };
    const tried = await service.judge({ candidate });
    expect(tried).toMatchObject({ decision: { decisionId: "", decision: DENY, policyVersion: 0n } });
    expect(tried.requiredFactorTypes).toEqual([]);
    expect(await service.decisions()).toEqual([]);
    await service.change({ level: LOW, requirement: {} });
    expect((await service.judge({})).decision).toMatchObject({ decision: ALLOW, policyVersion: 1n });
  });

  test("takes for the worst what it is not told or cannot read", async () => {
    const service = await riskService(engine);
    await enrollApp(service, "ann");
    for (const client of [undefined, {}, { userAgent: "Firefox/1" }]) {
      const { decision } = await service.judge({ client });
      expect(decision?.level).toBe(HIGH);
      expect(decision?.reasons).toMatchObject([
        { signal: RiskSignalType.INVALID_INPUT, value: "client.ip", weight: 1 },
      ]);
    }
    // An address that is none is judged; a signal that breaks its rule does not come this far.
    expect((await service.judge({ client: { ip: "010.0.0.1" } })).decision?.level).toBe(HIGH);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -0.1, 1.1]) {
      expect((await failure(service.judge({ signals: [{ name: "x", value }] }))).reason).toBe("INVALID_FIELD");
    }
  });

  test("weighs failed proofs, of whatever session", async () => {
    const service = await riskService(engine);
    const app = await enrollApp(service, "ann");
    const code = await wrongCode(app);
    for (let n = 0; n < 3; n += 1) await failure(service.mfa.verifyTotpCode({ code }, app.token));
    expect(signals((await service.judge({})).decision?.reasons)).toEqual([["FAILED_ATTEMPTS", 0.15]]);
    for (let n = 0; n < 2; n += 1) await failure(service.mfa.verifyTotpCode({ code }, app.token));
    const { decision } = await service.judge({});
    expect([decision?.level, signals(decision?.reasons)]).toEqual([MEDIUM, [["FAILED_ATTEMPTS", 0.3]]]);
    expect((await service.judge({ userId: "bob" })).decision?.level).toBe(LOW);
  });

  test("lets listed networks and trusted devices lower the risk, and rotates no secret", async () => {
    const service = await riskService(engine);
    await allowTrust(service);
    await enrollApp(service, "ann");
    const token = await service.token();
    await service.admin.createIpWhitelistEntry({ cidr: "203.0.113.0/24", label: "office" }, token);
    const { trustToken } = await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
    const worst = [{ name: "bot", value: 1 }];
    for (const round of [1, 2]) {
      const { decision } = await service.judge({ trustToken, signals: worst });
      expect([round, decision?.level, decision?.newDevice, signals(decision?.reasons)]).toEqual([
        ...[round, LOW, false],
        [
          ["CALLER", 0.6],
          ["IP_WHITELIST", -0.2],
          ["TRUSTED_DEVICE", -0.3],
        ],
      ]);
      // Trust stands in at low risk.
      expect(decision?.decision).toBe(ALLOW);
    }
    for (const wrong of [`${trustToken.slice(0, -1)}~`.replace("~", trustToken.endsWith("A") ? "B" : "A"), "junk"]) {
      expect((await service.judge({ trustToken: wrong, signals: worst })).decision?.level).toBe(MEDIUM);
    }
    expect((await service.judge({ userId: "bob", trustToken })).decision?.reasons).not.toContainEqual(
      expect.objectContaining({ signal: RiskSignalType.TRUSTED_DEVICE }),
    );
  });

  test("is of high risk for a day after the user said that it was not them", async () => {
    const service = await riskService(engine);
    await switchPushOn(service);
    const phone = await pairPhone(service, "ann");
    await askPhone(service, "ann");
    const [waiting] = await phone.pending();
    if (!waiting) throw new Error("nothing waits");
    await phone.deny(waiting, "NOT_ME");
    const { decision } = await service.judge({});
    expect([decision?.level, signals(decision?.reasons)]).toEqual([HIGH, [["REPORTED", 0.6]]]);
    expect((await service.judge({ userId: "bob" })).decision?.level).toBe(LOW);
    service.pass(DAY_MS + 1);
    expect((await service.judge({})).decision?.level).toBe(LOW);
  });

  test("decides alike about users that are not known and those without factors", async () => {
    const service = await riskService(engine);
    await service.mfa.startTotpEnrollment({}, await service.user("eve"));
    const both = await Promise.all(["eve", "nobody"].map((userId) => service.judge({ userId })));
    const [eve, nobody] = both.map(({ decision }) => ({ ...decision, decisionId: "", userId: "" }));
    expect(eve).toEqual(nobody);
    await service.change({ level: LOW, requirement: { strength: PHISHING_RESISTANT } });
    expect((await service.judge({ userId: "nobody" })).decision?.decision).toBe(ENROLL);
    const worst = { userId: "nobody", signals: [{ name: "bot", value: 1 }] };
    await service.change({ level: HIGH, requirement: { strength: PHISHING_RESISTANT } });
    expect((await service.judge(worst)).decision).toMatchObject({ level: HIGH, decision: DENY });
  });
});

describe.each(engines)("decisions on $name", (engine) => {
  test("are listed newest first, by user, level, outcome and time, page by page, in their tenant", async () => {
    const service = await riskService(engine);
    await enrollApp(service, "ann");
    const began = service.clock.now;
    for (let n = 0; n < 3; n += 1) {
      await service.judge({});
      await service.judge({ userId: "bob", signals: [{ name: "bot", value: 1 }] });
      service.pass(60_000);
    }
    await service.judge({}, "other");
    const users = async (request: object) => (await service.decisions(request)).map(({ userId }) => userId);
    expect(await users({})).toEqual(["bob", "ann", "bob", "ann", "bob", "ann"]);
    expect(await users({ userId: "ann" })).toEqual(["ann", "ann", "ann"]);
    expect(await users({ level: HIGH })).toEqual(["bob", "bob", "bob"]);
    expect(await users({ decision: CHALLENGE, level: HIGH })).toEqual([]);
    const times = { startTime: timestampFromDate(new Date(began.getTime() + 60_000)) };
    expect(await users({ ...times, endTime: timestampFromDate(new Date(began.getTime() + 120_000)) })).toEqual([
      "bob",
      "ann",
    ]);
    const token = await service.token();
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await service.admin.listRiskDecisions({ pageSize: 4, pageToken }, token);
      seen.push(...page.decisions.map(({ decisionId }) => decisionId));
      pageToken = page.nextPageToken;
    } while (pageToken);
    expect(new Set(seen).size).toBe(6);
    const first = await service.admin.listRiskDecisions({ pageSize: 1, userId: "ann" }, token);
    const moved = service.admin.listRiskDecisions({ pageToken: first.nextPageToken, userId: "bob" }, token);
    expect((await failure(moved)).reason).toBe("INVALID_PAGE_TOKEN");
    expect(await service.decisions({}, "other")).toHaveLength(1);
  });

  test("are judged again by a candidate, which changes nothing", async () => {
    const service = await riskService(engine);
    await enrollApp(service, "ann");
    for (let n = 0; n < 4; n += 1) await service.judge({});
    await service.judge({ userId: "bob" });
    await service.judge({ signals: [{ name: "bot", value: 1 }] });
    const before = await service.decisions();
    const candidate = { ...DEFAULTS, lowRisk: {}, highRisk: { block: true } };
    const replay = async (request: object, tenant?: string) =>
      service.admin.replayRiskDecisions({ candidate, ...request }, await service.token(tenant));
    const { judgedCount, transitions, examples } = await replay({ maxExamples: 2 });
    expect(judgedCount).toBe(6n);
    const counted = transitions.map(
      ({ before, after, count }) => `${MfaDecision[before]} ${MfaDecision[after]} ${count}`,
    );
    expect(counted.sort()).toEqual(["ALLOW ALLOW 1", "CHALLENGE ALLOW 4", "CHALLENGE DENY 1"]);
    // As they were, the newest first.
    expect(examples.map(({ decisionId }) => decisionId)).toEqual([before[0]?.decisionId, before[2]?.decisionId]);
    expect(await service.decisions()).toEqual(before);
    expect(await replay({ maxDecisions: 1 })).toMatchObject({ judgedCount: 1n, examples: [] });
    expect(await replay({}, "other")).toMatchObject({ judgedCount: 0n, transitions: [], examples: [] });
  });

  test("are replayed in more than one window, each once", async () => {
    const service = await riskService(engine);
    await Promise.all(Array.from({ length: 620 }, (_, n) => service.judge({ userId: `user ${n}` })));
    const request = { candidate: { ...DEFAULTS, lowRisk: { block: true } }, maxDecisions: 600 };
    const { judgedCount, transitions } = await service.admin.replayRiskDecisions(request, await service.token());
    expect(judgedCount).toBe(600n);
    expect(transitions).toMatchObject([{ before: ALLOW, after: DENY, count: 600n }]);
  });

  test("are replayed for the latest thousand where nothing else is asked for", async () => {
    const service = await riskService(engine);
    await decided(service, engine, 1_100);
    const replay = async (request: object) =>
      service.admin.replayRiskDecisions({ candidate: DEFAULTS, ...request }, await service.token());
    expect(await replay({})).toMatchObject({ judgedCount: 1_000n });
    expect(await replay({ maxDecisions: 1_099 })).toMatchObject({ judgedCount: 1_099n });
  });

  test("are forgotten when their tenant's time is over, and no others", async () => {
    const service = await riskService(engine);
    await Promise.all(Array.from({ length: 501 }, () => service.judge({})));
    await service.judge({}, "keeps");
    service.pass(DAY_MS);
    await service.judge({ userId: "bob" });
    const retentionMsOf = async (tenantId: string) => (tenantId === "keeps" ? Number.POSITIVE_INFINITY : DAY_MS / 2);
    expect(await forgetRiskDecisions(service.store, { now: service.clock.now, retentionMsOf })).toBe(501);
    expect((await service.decisions({ pageSize: 250 })).map(({ userId }) => userId)).toEqual(["bob"]);
    expect(await service.decisions({}, "keeps")).toHaveLength(1);
  });
});
