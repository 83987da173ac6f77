import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { enforcementRepository } from "../../src/enforcement/enforcement.repository.ts";
import { enforceAt, enforcedOf, type StatedUser } from "../../src/enforcement/enforcement.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { policyAdmin } from "../support/worlds/risk.ts";
import { type Started, serviceForTest } from "../support/worlds/service.ts";

const { ANY_FACTOR, UNRESTRICTED, PHISHING_RESISTANT } = AuthenticationStrength;
const DAY_MS = 24 * 3600 * 1000;
const everyone = { selector: { everyone: true }, strength: ANY_FACTOR };
const grace = (days: number) => ({ gracePeriod: durationFromMs(days * DAY_MS) });

const ANN = { tenantId: "dev", userId: "ann" };

async function enforcing(engine: EngineUnderTest, started: Started = {}) {
  const service = await serviceForTest(engine, started);
  const token = (tenant?: string) => policyAdmin(service, tenant);
  const nothing: StatedUser = { roles: [], groups: [], application: "" };
  return {
    ...service,
    token,
    create: async (request: object = {}, tenant?: string) =>
      service.admin.createEnforcementRule({ ...everyone, ...request }, await token(tenant)),
    update: async (request: object) => (await service.admin.updateEnforcementRule(request, await token())).rule,
    list: async (tenant?: string) => (await service.admin.listEnforcementRules({}, await token(tenant))).rules,
    /** A log-in, as the rules see it. */
    logIn: (stated: Partial<StatedUser> = {}, userId = "ann") =>
      service.store.write((tx) => enforceAt(tx, { ...ANN, userId }, { ...nothing, ...stated }, service.clock.now)),
    known: (userId = "ann") => service.store.read((tx) => enforcedOf(tx, { ...ANN, userId }, service.clock.now)),
    after: (days: number) => new Date(service.clock.now.getTime() + days * DAY_MS),
  };
}

describe.each(engines)("enforcement rules on $name", (engine) => {
  test("are made, shown, changed and taken away, each time with an audit entry", async () => {
    const service = await enforcing(engine);
    const token = await service.token();
    await enrollApp(service, "ann");
    await service.mfa.startTotpEnrollment({}, await service.user("bob"));
    const request = { description: "staff", selector: { roles: ["staff"] }, ...grace(14), reportOnly: true };
    const { rule, unenrolledCount } = await service.create({ ...request, reason: "audit" });
    expect(rule).toMatchObject({ ...request, strength: ANY_FACTOR, enabled: true, version: 1n });
    expect(rule?.startTime).toEqual(timestampFromDate(service.clock.now));
    // Of ann and bob.
    expect(unenrolledCount).toBe(1n);
    const { ruleId = "" } = rule ?? {};
    expect((await service.admin.getEnforcementRule({ ruleId }, token)).rule).toEqual(rule);
    service.pass(1000);
    const change = { ruleId, version: 1n, reportOnly: false, strength: PHISHING_RESISTANT, reason: "it is time" };
    const changed = await service.update(change);
    expect(changed).toMatchObject({ ...request, reportOnly: false, strength: PHISHING_RESISTANT, version: 2n });
    expect([changed?.createTime, changed?.startTime]).toEqual([rule?.createTime, rule?.startTime]);
    expect(await service.list()).toEqual([changed]);
    await service.admin.deleteEnforcementRule({ ruleId, reason: "done" }, token);
    expect((await failure(service.admin.getEnforcementRule({ ruleId }, token))).reason).toBe("NOT_FOUND");
    expect((await failure(service.admin.deleteEnforcementRule({ ruleId }, token))).reason).toBe("NOT_FOUND");
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { module: "enforcement_rule" } }, token);
    expect(
      entries.map(({ action, before, after, reason }) => [action, before?.strength, after?.strength, reason]),
    ).toEqual([
      ["enforcement_rule.deleted", "PHISHING_RESISTANT", undefined, "done"],
      ["enforcement_rule.updated", "ANY_FACTOR", "PHISHING_RESISTANT", "it is time"],
      ["enforcement_rule.created", undefined, "ANY_FACTOR", "audit"],
    ]);
    expect(entries.every(({ targetId }) => targetId === ruleId)).toBe(true);
  });

  test("say how many of the first thousand users cannot meet them, whomever they mean", async () => {
    const service = await enforcing(engine);
    const now = engine.name === "sqlite" ? "0" : "now()";
    const values = Array.from({ length: 1_200 }, (_, n) => `('dev', 'user-${n}', 0, '', ${now})`);
    await service.execute(
      `INSERT INTO users (tenant_id, user_id, mfa_epoch, primary_factor_id, update_time) VALUES ${values.join()}`,
    );
    expect((await service.create({ selector: { roles: ["staff"] } })).unenrolledCount).toBe(1_000n);
  });

  test("name somebody, and ask for what users can have", async () => {
    const service = await enforcing(engine, { webauthn: { rpIds: [] } });
    for (const selector of [{}, { everyone: false, roles: [] }]) {
      const refused = await failure(service.create({ selector }));
      expect([refused.reason, refused.metadata.field]).toEqual(["INVALID_FIELD", "selector"]);
    }
    for (const request of [{ strength: 0 }, { strength: 9 }, grace(91), { selector: { roles: [""] } }]) {
      expect((await failure(service.create(request))).reason).toBe("INVALID_FIELD");
    }
    const { rule } = await service.create(grace(90));
    const { ruleId = "" } = rule ?? {};
    const empty = await failure(service.update({ ruleId, version: 1n, selector: {} }));
    expect([empty.reason, empty.metadata.field]).toEqual(["INVALID_FIELD", "selector"]);
    expect((await failure(service.update({ ruleId, version: 1n, reason: "none" }))).reason).toBe("EMPTY_UPDATE");
    const strong = { strength: PHISHING_RESISTANT };
    expect((await failure(service.create(strong))).reason).toBe("POLICY_UNSATISFIABLE");
    expect((await failure(service.update({ ruleId, version: 1n, ...strong }))).reason).toBe("POLICY_UNSATISFIABLE");
    expect(await service.list()).toEqual([rule]);
  });

  test("are changed by one of many at the same version, in their own tenant", async () => {
    const service = await enforcing(engine);
    const { rule } = await service.create();
    const { ruleId = "" } = rule ?? {};
    const many = Array.from({ length: 10 }, (_, n) => service.update({ ruleId, version: 1n, description: `try ${n}` }));
    expect(await tally(many)).toEqual({ OK: 1, STALE_VERSION: 9 });
    const stale = await failure(service.update({ ruleId, version: 1n, enabled: false }));
    expect(stale.metadata.version).toBe("2");
    const other = await service.token("other");
    expect(await service.list("other")).toEqual([]);
    const foreign = [
      service.admin.getEnforcementRule({ ruleId }, other),
      service.admin.updateEnforcementRule({ ruleId, version: 2n, enabled: false }, other),
      service.admin.deleteEnforcementRule({ ruleId }, other),
    ];
    expect(await tally(foreign)).toEqual({ NOT_FOUND: 3 });
  });

  test("are a hundred at most, listed oldest first, page by page", async () => {
    const service = await enforcing(engine);
    for (let n = 0; n < 100; n += 1) {
      await service.create({ description: `rule ${n}` });
      service.pass(1);
    }
    expect((await failure(service.create())).reason).toBe("LIMIT_REACHED");
    const token = await service.token();
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await service.admin.listEnforcementRules({ pageSize: 40, pageToken }, token);
      seen.push(...page.rules.map(({ description }) => description));
      pageToken = page.nextPageToken;
    } while (pageToken);
    expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => `rule ${n}`));
  });
});

describe.each(engines)("whom a rule means on $name", (engine) => {
  test("is everyone, or who has a role, is in a group or logs in to an application", async () => {
    const service = await enforcing(engine);
    const selector = { roles: ["admin", "root"], groups: ["ops"], applications: ["vault"] };
    await service.create({ selector, strength: UNRESTRICTED });
    expect(await service.logIn()).toMatchObject({ enforced: false, demanded: [] });
    expect(await service.logIn({ roles: ["user"], groups: ["admin"], application: "root" })).toMatchObject({
      enforced: false,
    });
    const meant = [{ roles: ["user", "admin"] }, { groups: ["ops"] }, { application: "vault" }];
    for (const stated of meant) {
      expect(await service.logIn(stated)).toMatchObject({ enforced: true, demanded: ["UNRESTRICTED"] });
    }
    await service.create(everyone);
    expect(await service.logIn()).toMatchObject({ enforced: true, demanded: ["ANY_FACTOR"] });
    expect((await service.logIn({ roles: ["root"] })).demanded).toEqual(["UNRESTRICTED", "ANY_FACTOR"]);
  });

  test("nobody, before it begins, while it is disabled, or only reported", async () => {
    const service = await enforcing(engine);
    const startTime = timestampFromDate(service.after(1));
    await service.create({ startTime });
    const { rule } = await service.create();
    await service.update({ ruleId: rule?.ruleId, version: 1n, enabled: false });
    await service.create({ reportOnly: true, strength: UNRESTRICTED, ...grace(7) });
    expect(await service.logIn()).toEqual({
      ...{ enforced: false, graceUntil: undefined, demanded: [] },
      // As it will be once the deadline has passed.
      reported: ["UNRESTRICTED"],
    });
    expect(await service.known()).toMatchObject({ enforced: false });
    service.pass(DAY_MS);
    expect(await service.logIn()).toMatchObject({ enforced: true, demanded: ["ANY_FACTOR"] });
  });

  test("who logged in under it, for as long as they have the role", async () => {
    const service = await enforcing(engine);
    await service.create({ selector: { roles: ["staff"] }, ...grace(7) });
    expect(await service.known()).toMatchObject({ enforced: false });
    const until = service.after(7);
    expect(await service.logIn({ roles: ["staff"] })).toMatchObject({ enforced: true, graceUntil: until });
    expect(await service.known()).toMatchObject({ enforced: true, graceUntil: until });
    service.pass(DAY_MS);
    await service.logIn();
    expect(await service.known()).toMatchObject({ enforced: false, graceUntil: undefined });
    service.pass(DAY_MS);
    // Back again: the deadline is the first one.
    expect(await service.logIn({ roles: ["staff"] })).toMatchObject({ graceUntil: until });
    expect(await service.known()).toMatchObject({ enforced: true, graceUntil: until });
    expect(await service.known("bob")).toMatchObject({ enforced: false });
  });
});

describe.each(engines)("a deadline on $name", (engine) => {
  test("is written once, at the first log-in, and moved by nothing", async () => {
    const service = await enforcing(engine);
    const { rule } = await service.create(grace(14));
    const { ruleId = "" } = rule ?? {};
    // Before the first log-in it is as if that were now.
    expect(await service.known()).toMatchObject({ enforced: true, graceUntil: service.after(14) });
    service.pass(DAY_MS);
    const until = service.after(14);
    expect(await service.logIn()).toMatchObject({ enforced: true, graceUntil: until, demanded: [] });
    service.pass(DAY_MS);
    expect(await service.logIn()).toMatchObject({ graceUntil: until });
    expect(await service.known()).toMatchObject({ graceUntil: until });
    await service.update({ ruleId, version: 1n, ...grace(90) });
    await service.update({ ruleId, version: 2n, enabled: false });
    await service.update({ ruleId, version: 3n, enabled: true, startTime: timestampFromDate(service.clock.now) });
    expect(await service.logIn()).toMatchObject({ graceUntil: until });
    // Somebody new has the grace of now.
    expect(await service.logIn({}, "bob")).toMatchObject({ graceUntil: service.after(90) });
    service.clock.now = until;
    expect(await service.logIn()).toMatchObject({ enforced: true, graceUntil: undefined, demanded: ["ANY_FACTOR"] });
    expect(await service.known()).toMatchObject({ enforced: true, graceUntil: undefined });
  });

  test("is one, of however many log-ins at the same moment", async () => {
    const service = await enforcing(engine);
    await service.create(grace(7));
    const began = service.clock.now.getTime();
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, n) => {
        service.clock.now = new Date(began + n);
        return service.logIn();
      }),
    );
    expect(new Set(many.map(({ graceUntil }) => graceUntil?.getTime())).size).toBe(1);
  });

  test("of several rules is the earliest, and once one has passed there is no grace", async () => {
    const service = await enforcing(engine);
    await service.create(grace(7));
    await service.create({ ...grace(3), selector: { roles: ["staff"] } });
    const until = service.after(3);
    expect(await service.logIn({ roles: ["staff"] })).toMatchObject({ graceUntil: until, demanded: [] });
    service.clock.now = until;
    expect(await service.logIn({ roles: ["staff"] })).toMatchObject({
      graceUntil: undefined,
      demanded: ["ANY_FACTOR"],
    });
  });

  test("ends with its rule", async () => {
    const service = await enforcing(engine);
    const { rule } = await service.create();
    const deadlines = () => service.store.read((tx) => enforcementRepository(tx).deadlines(ANN));
    await service.logIn();
    expect(await deadlines()).toHaveLength(1);
    await service.admin.deleteEnforcementRule({ ruleId: rule?.ruleId ?? "" }, await service.token());
    expect(await deadlines()).toEqual([]);
    expect(await service.known()).toMatchObject({ enforced: false });
    expect(await service.logIn()).toMatchObject({ enforced: false });
  });
});

describe.each(engines)("who must have a factor on $name", (engine) => {
  test("is told so in their status, by themselves, backends and administrators", async () => {
    const service = await enforcing(engine);
    await enrollApp(service, "ann");
    const ann = await service.user("ann", "aal2");
    expect((await service.mfa.getMfaStatus({}, ann)).status).toMatchObject({ enforced: false });
    await service.create(grace(7));
    await service.logIn();
    const graceUntilTime = timestampFromDate(service.after(7));
    service.pass(1000);
    expect((await service.mfa.getMfaStatus({}, ann)).status).toMatchObject({ enforced: true, graceUntilTime });
    const backend = await service.backend("mfa.status.read");
    const stated = { enforced: true, graceUntilTime };
    expect((await service.internal.getUserMfaStatus({ userId: "ann" }, backend)).status).toMatchObject(stated);
    const admin = await service.token();
    expect((await service.admin.listUserFactors({ userId: "ann" }, admin)).status).toMatchObject(stated);
    service.pass(7 * DAY_MS);
    const { status } = await service.mfa.getMfaStatus({}, await service.user("ann", "aal2"));
    expect([status?.enforced, status?.graceUntilTime]).toEqual([true, undefined]);
  });

  test("cannot remove their last one, whatever they confirm", async () => {
    const service = await enforcing(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const { rule } = await service.create();
    const remove = async () =>
      service.mfa.revokeTotpDevice({ deviceId, confirmLastFactor: true }, await service.user("ann", "aal2"));
    const refused = await failure(remove());
    expect([refused.reason, refused.metadata.required]).toEqual(["LAST_FACTOR", "true"]);
    const { ruleId = "" } = rule ?? {};
    await service.update({ ruleId, version: 1n, reportOnly: true });
    await remove();
  });

  test("may remove one of two", async () => {
    const service = await enforcing(engine);
    const { deviceId } = await enrollApp(service, "ann");
    await enrollApp(service, "ann", "aal2");
    await service.create();
    await service.mfa.revokeTotpDevice({ deviceId }, await service.user("ann", "aal2"));
  });
});
