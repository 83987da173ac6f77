import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision, RiskSignalType } from "../../gen/mfa/v1/risk_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { offeredTo } from "../support/actors/log-in.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const YEAR_S = 365 * 24 * 3600;

/** When entries expire: later than the machine's clock, which the rules on fields go by. */
const later = () => ({ seconds: BigInt(Math.floor(Date.now() / 1000) + YEAR_S), nanos: 0 });

async function listed(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  const scope = "mfa.ip.write mfa.read mfa.audit.read";
  const token = (tenant = "dev") =>
    service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope, tenant });
  return {
    ...service,
    token,
    create: async (request: object, tenant = "dev") =>
      service.admin.createIpWhitelistEntry({ label: "office", ...request }, await token(tenant)),
    update: async (request: object) => service.admin.updateIpWhitelistEntry(request, await token()),
    list: async (request = {}, tenant = "dev") =>
      (await service.admin.listIpWhitelistEntries(request, await token(tenant))).entries.map(({ cidr }) => cidr),
    /** Whether a log-in from there would count as from a listed network. */
    isListed: async (ip: string, tenant = "dev") => {
      const asked = { userId: "ann", client: { ip }, dryRun: true };
      const { decision } = await service.admin.evaluateRisk(asked, await token(tenant));
      return decision?.reasons.some(({ signal, weight }) => signal === RiskSignalType.IP_WHITELIST && weight < 0);
    },
  };
}

describe.each(engines)("the IP whitelist on $name", (engine) => {
  test("lists a network in canonical form, shows it, changes it and takes it off", async () => {
    const service = await listed(engine);
    const token = await service.token();
    const { entry } = await service.create({ cidr: "::ffff:192.0.2.0/120", reason: "our office" });
    expect(entry).toMatchObject({ cidr: "192.0.2.0/24", label: "office", enabled: true, version: 1n });
    const entryId = entry?.entryId ?? "";
    expect((await service.admin.getIpWhitelistEntry({ entryId }, token)).entry).toEqual(entry);
    expect(await service.isListed("192.0.2.9")).toBe(true);

    service.pass(1000);
    const changed = await service.update({ entryId, version: 1n, cidr: "198.51.100.0/24", label: "new office" });
    expect(changed.entry).toMatchObject({ entryId, cidr: "198.51.100.0/24", label: "new office", version: 2n });
    expect(changed.entry?.createTime).toEqual(entry?.createTime);
    expect(changed.entry?.updateTime).not.toEqual(entry?.updateTime);
    expect(await service.isListed("192.0.2.9")).toBe(false);

    await service.admin.deleteIpWhitelistEntry({ entryId, reason: "moved" }, token);
    expect(await service.list()).toEqual([]);
    expect((await failure(service.admin.getIpWhitelistEntry({ entryId }, token))).reason).toBe("NOT_FOUND");
    expect((await failure(service.admin.deleteIpWhitelistEntry({ entryId }, token))).reason).toBe("NOT_FOUND");

    const { entries } = await service.admin.listConfigAuditLogs({ filter: { module: "ip_whitelist_entry" } }, token);
    expect(entries.map(({ action, before, after, reason }) => [action, before?.cidr, after?.cidr, reason])).toEqual([
      ["ip_whitelist_entry.deleted", "198.51.100.0/24", undefined, "moved"],
      ["ip_whitelist_entry.updated", "192.0.2.0/24", "198.51.100.0/24", ""],
      ["ip_whitelist_entry.created", undefined, "192.0.2.0/24", "our office"],
    ]);
    expect(entries.every((found) => found.targetId === entryId)).toBe(true);
  });

  test("counts an entry while it is enabled and not expired", async () => {
    const service = await listed(engine);
    const { entry } = await service.create({ cidr: "192.0.2.0/24", disabled: true });
    const { entryId = "" } = entry ?? {};
    expect(await service.isListed("192.0.2.9")).toBe(false);
    await service.update({ entryId, version: 1n, enabled: true });
    expect(await service.isListed("192.0.2.9")).toBe(true);
    await service.update({ entryId, version: 2n, expireTime: later() });
    expect(await service.isListed("192.0.2.9")).toBe(true);
    const { seconds } = (await service.admin.getIpWhitelistEntry({ entryId }, await service.token())).entry
      ?.expireTime ?? { seconds: 0n };
    service.clock.now = new Date(Number(seconds) * 1000 - 1);
    expect(await service.isListed("192.0.2.9")).toBe(true);
    service.pass(1);
    expect(await service.isListed("192.0.2.9")).toBe(false);
    expect(await service.list()).toEqual(["192.0.2.0/24"]);
    const { entry: forever } = await service.update({ entryId, version: 3n, clearExpireTime: true });
    expect(forever?.expireTime).toBeUndefined();
    expect(await service.isListed("192.0.2.9")).toBe(true);
  });

  test("lowers the risk of a log-in, and never switches the second factor off", async () => {
    const service = await listed(engine);
    await enrollApp(service, "ann");
    await service.create({ cidr: "203.0.113.0/24" });
    const found = await offeredTo(service);
    expect(found.reasons.some(({ signal, weight }) => signal === RiskSignalType.IP_WHITELIST && weight < 0)).toBe(true);
    expect(found).toMatchObject({ decision: MfaDecision.CHALLENGE, factors: [{ type: FactorType.TOTP }] });
  });

  test("takes host bits and broad networks only by force, and all addresses never", async () => {
    const service = await listed(engine);
    const refusals: [string, string][] = [
      ["192.0.2.7/24", "192.0.2.0/24"],
      ["10.0.0.0/15", "10.0.0.0/15"],
      ["2001:db8::/31", "2001:db8::/31"],
      ["2001:db8::1/64", "2001:db8::/64"],
    ];
    for (const [cidr, canonical] of refusals) {
      const refused = await failure(service.create({ cidr }));
      expect([refused.reason, refused.metadata.canonical], cidr).toEqual(["RANGE_REFUSED", canonical]);
      const { entry, warnings } = await service.create({ cidr, force: true });
      expect(entry?.cidr).toBe(canonical);
      expect(warnings[0]).toContain(canonical);
    }
    for (const cidr of ["0.0.0.0/0", "::/0", "10.0.0.0/0", "::ffff:0.0.0.0/96"]) {
      expect((await failure(service.create({ cidr, force: true }))).reason, cidr).toBe("RANGE_REFUSED");
    }
    expect(await service.list()).toHaveLength(refusals.length);
  });

  test("refuses what is no network by its field", async () => {
    const service = await listed(engine);
    for (const cidr of ["192.0.2.0", "010.0.0.0/16", "fe80::1%eth0/64", "192.0.2.0/255.255.255.0", "x", ""]) {
      expect((await failure(service.create({ cidr }))).reason, cidr).toBe("INVALID_FIELD");
    }
    // Well-formed by the rule of the field, and still none: fewer bits than the mapping has.
    expect((await failure(service.create({ cidr: "::ffff:192.0.2.0/24" }))).metadata.field).toBe("cidr");
    expect((await failure(service.create({ cidr: "192.0.2.0/24", label: "" }))).reason).toBe("INVALID_FIELD");
    service.clock.now = new Date("2090-01-01T00:00:00Z");
    const past = service.create({ cidr: "192.0.2.0/24", expireTime: later() });
    expect((await failure(past)).metadata.field).toBe("expire_time");
  });

  test("lists a network once, however it is written, and once of many callers at the same moment", async () => {
    const service = await listed(engine);
    await service.create({ cidr: "192.0.2.0/24" });
    expect((await failure(service.create({ cidr: "::ffff:192.0.2.0/120" }))).reason).toBe("DUPLICATE");
    expect((await failure(service.create({ cidr: "192.0.2.1/24", force: true }))).reason).toBe("DUPLICATE");
    const many = Array.from({ length: 20 }, () => service.create({ cidr: "198.51.100.0/24" }));
    expect(await tally(many)).toEqual({ OK: 1, DUPLICATE: 19 });
    const { entry } = await service.create({ cidr: "203.0.113.0/24" });
    const onto = service.update({ entryId: entry?.entryId ?? "", version: 1n, cidr: "192.0.2.0/24" });
    expect((await failure(onto)).reason).toBe("DUPLICATE");
    expect(await service.list()).toEqual(["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]);
    // Another tenant's list is another.
    await service.create({ cidr: "192.0.2.0/24" }, "other");
  });

  test("lets one of two changes of the same version win", async () => {
    const service = await listed(engine);
    const { entry } = await service.create({ cidr: "192.0.2.0/24" });
    const { entryId = "" } = entry ?? {};
    const many = Array.from({ length: 10 }, (_, n) => service.update({ entryId, version: 1n, label: `office ${n}` }));
    expect(await tally(many)).toEqual({ OK: 1, STALE_VERSION: 9 });
    const stale = await failure(service.update({ entryId, version: 1n, label: "late" }));
    expect(stale.metadata.version).toBe("2");
    expect((await failure(service.update({ entryId, version: 2n }))).reason).toBe("EMPTY_UPDATE");
    const both = { entryId, version: 2n, clearExpireTime: true, expireTime: later() };
    expect((await failure(service.update(both))).reason).toBe("INVALID_FIELD");
    const unknown = { entryId: "01900000-0000-7000-8000-000000000000", version: 1n, label: "x" };
    expect((await failure(service.update(unknown))).reason).toBe("NOT_FOUND");
  });

  test("warns of networks that overlap", async () => {
    const service = await listed(engine);
    await service.create({ cidr: "192.0.2.0/24" });
    expect((await service.create({ cidr: "192.0.2.128/25" })).warnings).toEqual(["overlaps 192.0.2.0/24"]);
    expect((await service.create({ cidr: "198.51.100.0/24" })).warnings).toEqual([]);
  });

  test("is read page by page, by whether entries count, and by an address", async () => {
    const service = await listed(engine);
    const cidrs = Array.from({ length: 5 }, (_, n) => `192.0.${n}.0/24`);
    for (const cidr of cidrs) await service.create({ cidr, disabled: cidr === "192.0.3.0/24" });
    const token = await service.token();
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await service.admin.listIpWhitelistEntries({ pageSize: 2, pageToken }, token);
      seen.push(...page.entries.map(({ cidr }) => cidr));
      pageToken = page.nextPageToken;
    } while (pageToken);
    expect(seen).toEqual(cidrs);
    expect(await service.list({ enabled: false })).toEqual(["192.0.3.0/24"]);
    expect(await service.list({ enabled: true })).toHaveLength(4);
    expect(await service.list({ containsIp: "192.0.2.1" })).toEqual(["192.0.2.0/24"]);
    expect(await service.list({ containsIp: "::ffff:192.0.2.1" })).toEqual(["192.0.2.0/24"]);
    expect(await service.list({ containsIp: "192.1.2.1" })).toEqual([]);
  });

  test("is read once a second by those who judge, and anew after a change", async () => {
    const service = await listed(engine);
    const { entry } = await service.create({ cidr: "192.0.2.0/24" });
    const key = { entryId: entry?.entryId ?? "" };
    expect(await service.isListed("192.0.2.9")).toBe(true);
    // As another instance would.
    await service.execute(
      `UPDATE ip_whitelist SET enabled = ${engine.name === "sqlite" ? 0 : false}, bound_mac = NULL`,
    );
    await service.bind();
    service.pass(999);
    expect(await service.isListed("192.0.2.9")).toBe(true);
    service.pass(1);
    expect(await service.isListed("192.0.2.9")).toBe(false);
    await service.update({ ...key, version: 1n, enabled: true });
    expect(await service.isListed("192.0.2.9")).toBe(true);
    await service.admin.deleteIpWhitelistEntry({ ...key, reason: "moved" }, await service.token());
    expect(await service.isListed("192.0.2.9")).toBe(false);
  });

  test("keeps tenants apart", async () => {
    const service = await listed(engine);
    const { entry } = await service.create({ cidr: "192.0.2.0/24" });
    const { entryId = "" } = entry ?? {};
    const other = await service.token("other");
    expect(await service.list({}, "other")).toEqual([]);
    expect(await service.isListed("192.0.2.1", "other")).toBe(false);
    expect((await failure(service.admin.getIpWhitelistEntry({ entryId }, other))).reason).toBe("NOT_FOUND");
    expect((await failure(service.admin.deleteIpWhitelistEntry({ entryId }, other))).reason).toBe("NOT_FOUND");
    const change = service.admin.updateIpWhitelistEntry({ entryId, version: 1n, label: "x" }, other);
    expect((await failure(change)).reason).toBe("NOT_FOUND");
    expect(await service.list()).toEqual(["192.0.2.0/24"]);
  });
});
