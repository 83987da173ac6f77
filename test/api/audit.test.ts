import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { AuditOrder } from "../../gen/mfa/v1/audit_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { auditEntryRepository } from "../../src/audit/audit-entries.repository.ts";
import { auditSubjectRepository } from "../../src/audit/audit-subjects.repository.ts";
import { append } from "../../src/audit/trail.ts";
import { createAuditUpkeep } from "../../src/audit/upkeep.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { openStore } from "../../src/db/open.ts";
import { type Store, StoreUnavailable, type Tx } from "../../src/db/store.ts";
import { enrolApp } from "../support/authenticator.ts";
import { drain, failure, streamer, tally } from "../support/client.ts";
import { type EngineUnderTest, engines } from "../support/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/service.ts";

const DAY = 24 * 3600 * 1000;
const SCOPE = "mfa.audit.read mfa.settings.write";

async function audited(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  const token = (tenant = "dev", subject = "root") =>
    service.mint({ audience: "mfa-admin", subject, acr: "aal2", scope: SCOPE, tenant });
  const keyring = await openKeyring(await readKeyFile(join(service.dataDir, "keys.json")), service.store);
  const upkeepOn = (store: Store) =>
    createAuditUpkeep({ store, keyring, clock: () => service.clock.now, retentionMsOf: async () => 365 * DAY });
  return {
    ...service,
    token,
    upkeep: upkeepOn(service.store),
    upkeepOn,
    list: async (filter = {}, more = {}) =>
      (await service.admin.listConfigAuditLogs({ filter, ...more }, await token())).entries,
    verify: async (request = {}) => service.admin.verifyAuditChain(request, await token()),
    /** Some changes by an administrator. */
    change: async (count: number, tenant = "dev", subject = "root") => {
      for (let n = 0; n < count; n += 1) {
        const { settings } = await service.admin.getTenantSettings({}, await reader(service, tenant));
        const issuer = `Shop ${n} ${subject} ${settings?.version}`;
        const change = { totp: { issuer }, version: settings?.version ?? 0n, reason: `because ${n}` };
        await service.admin.updateTenantSettings(change, await token(tenant, subject));
      }
    },
  };
}

/** The entries behind a place. */
const span = (tx: Tx, after: number) =>
  auditEntryRepository(tx).listSpan({ tenantId: "dev", after, through: Number.MAX_SAFE_INTEGER, limit: 10 });

const reader = (service: ServiceUnderTest, tenant: string) =>
  service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read", tenant });

/** What an attacker with the database does first. */
const takeGuardsDown = {
  sqlite: [
    "DROP TRIGGER audit_entries_no_update_v1",
    "DROP TRIGGER audit_entries_no_delete_v1",
    "DROP TRIGGER audit_heads_no_return_v1",
    "DROP TRIGGER audit_heads_no_delete_v1",
    "DROP TRIGGER audit_checkpoints_no_delete_v1",
    "DROP TRIGGER audit_checkpoints_no_update_v1",
  ],
  postgres: [
    "DROP TRIGGER audit_entries_no_update_v1 ON audit_entries",
    "DROP TRIGGER audit_entries_no_delete_v1 ON audit_entries",
    "DROP TRIGGER audit_heads_no_return_v1 ON audit_heads",
    "DROP TRIGGER audit_heads_no_delete_v1 ON audit_heads",
    "DROP TRIGGER audit_checkpoints_no_change_v1 ON audit_checkpoints",
  ],
};

describe.each(engines)("the audit trail on $name", (engine) => {
  test("a check that is given up does not go on, and does not say that anything was found", async () => {
    const service = await serviceForTest(engine, { limits: { maxWorkMs: 1 } });
    const keyring = await openKeyring(await readKeyFile(join(service.dataDir, "keys.json")), service.store);
    const entry = {
      ...{
        tenantId: "dev",
        userId: "",
        action: "x.done",
        targetType: "x",
        targetId: "x",
        reason: "",
        outcome: "SUCCESS",
      },
      ...{ actorType: "ADMIN", actorId: "root", isByUser: false, isFromUser: false, ip: "", rpc: "", requestId: "" },
      ...{ before: null, after: null, createTime: service.clock.now },
    };
    const count = engine.name === "sqlite" ? 6_000 : 1_500;
    for (let place = 0; place < count; place += 500) {
      await service.store.write(async (tx) => {
        for (let n = 0; n < 500; n += 1) await append(tx, keyring.mac, entry);
      });
    }
    const token = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: SCOPE });
    expect(await failure(service.admin.verifyAuditChain({}, token))).toMatchObject({ reason: "DEADLINE" });
    const told = async () => (await service.store.read((tx) => span(tx, count))).map(({ action }) => action);
    let actions = await told();
    while (actions.length === 0) actions = await told();
    expect(actions).toEqual(["rpc.failed"]);
  });

  test("shows who changed what, from where, why, and how it was before", async () => {
    const service = await audited(engine);
    await service.change(1);
    const [entry] = await service.list({ action: "tenant_settings.updated" });
    expect(entry).toMatchObject({
      sequence: 1n,
      action: "tenant_settings.updated",
      module: "tenant_settings",
      targetType: "tenant_settings",
      targetId: "dev",
      userId: "",
      actorType: Principal.ADMIN,
      operatorId: "root",
      ip: "127.0.0.1",
      rpc: "mfa.v1.AdminMfaService/UpdateTenantSettings",
      reason: "because 0",
      message: "Tenant settings updated by administrator root.",
      before: {},
      after: { totp: { issuer: "Shop 0 root 0" } },
    });
    expect(service.log.join("\n")).toContain(`"request":"${entry?.requestId}"`);
  });

  test("takes the client's own id of a call, where it looks like one", async () => {
    const service = await audited(engine);
    const change = { totp: { issuer: "Shop" }, version: 0n };
    await service.admin.updateTenantSettings(change, await service.token(), { "x-request-id": "order-7" });
    expect((await service.list({ module: "tenant_settings" }))[0]?.requestId).toBe("order-7");
  });

  test("is read by action, kind, user, operator and time, and every reading is in it", async () => {
    const service = await audited(engine);
    const { deviceId } = await enrolApp(service, "ann");
    await enrolApp(service, "bob");
    service.pass(60_000);
    await service.change(1);
    const actions = async (filter: object) => (await service.list(filter)).map(({ action }) => action);
    expect(await actions({ userId: "ann" })).toEqual(["totp.enrolled", "totp.enrollment_started"]);
    expect(await actions({ operatorId: "ann" })).toEqual(["totp.enrolled", "totp.enrollment_started"]);
    expect(await actions({ operatorId: "root", module: "tenant_settings" })).toEqual(["tenant_settings.updated"]);
    expect(await actions({ targetId: deviceId })).toEqual(["totp.enrolled", "totp.enrollment_started"]);
    expect(await actions({ action: "totp.enrolled" })).toHaveLength(2);
    expect(await actions({ action: "totp." })).toHaveLength(4);
    expect(await actions({ action: "tot_." })).toEqual([]);
    expect(await actions({ targetType: "tenant_settings" })).toEqual(["tenant_settings.updated"]);
    const minute = { seconds: BigInt(service.clock.now.getTime() / 1000), nanos: 0 };
    expect(await actions({ endTime: minute })).toHaveLength(4);
    expect(await actions({ startTime: minute, module: "tenant_settings" })).toHaveLength(1);
    expect(await actions({ userId: "nobody" })).toEqual([]);
    expect((await actions({ module: "audit" })).length).toBeGreaterThan(8);
  });

  test("is read page by page in either order, under tokens good for this list alone", async () => {
    const service = await audited(engine);
    await service.change(7);
    const token = await service.token();
    for (const order of [AuditOrder.OLDEST_FIRST, AuditOrder.NEWEST_FIRST]) {
      const filter = { module: "tenant_settings" };
      const seen: bigint[] = [];
      let pageToken = "";
      do {
        const page = await service.admin.listConfigAuditLogs({ filter, order, pageSize: 3, pageToken }, token);
        seen.push(...page.entries.map(({ sequence }) => sequence));
        pageToken = page.nextPageToken;
      } while (pageToken);
      const sorted = [1n, 2n, 3n, 4n, 5n, 6n, 7n];
      expect(seen).toEqual(order === AuditOrder.OLDEST_FIRST ? sorted : sorted.reverse());
    }
    const { nextPageToken: pageToken } = await service.admin.listConfigAuditLogs({ pageSize: 3 }, token);
    const other = service.admin.listConfigAuditLogs({ pageToken, filter: { module: "totp" } }, token);
    expect((await failure(other)).reason).toBe("INVALID_PAGE_TOKEN");
    const foreign = service.admin.listConfigAuditLogs({ pageToken }, await service.token("other"));
    expect((await failure(foreign)).reason).toBe("INVALID_PAGE_TOKEN");
  });

  test("keeps tenants apart: each has a chain of its own, from 1", async () => {
    const service = await audited(engine);
    await service.change(2);
    await service.change(1, "other");
    const { entries } = await service.admin.listConfigAuditLogs({}, await service.token("other"));
    expect(entries.map(({ sequence, targetId }) => [sequence, targetId])).toEqual([[1n, "other"]]);
    expect(await service.admin.verifyAuditChain({}, await service.token("other"))).toMatchObject({ intact: true });
  });

  test("has one place for each of many changes at once, without gaps", async () => {
    const service = await audited(engine);
    const starts = Array.from({ length: 60 }, async (_, n) =>
      service.mfa.startTotpEnrollment({}, await service.user(`user-${n}`)),
    );
    expect(await tally(starts)).toEqual({ OK: 60 });
    const entries = await service.list({}, { pageSize: 100, order: AuditOrder.OLDEST_FIRST });
    expect(entries.map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
    expect(await service.verify()).toMatchObject({ intact: true, firstBrokenSequence: 0n });
  });

  test("is refused any change by the store itself", async () => {
    const service = await audited(engine);
    await service.change(2);
    await service.upkeep.checkpoint();
    for (const statement of [
      "UPDATE audit_entries SET action = 'x'",
      "DELETE FROM audit_entries",
      "UPDATE audit_heads SET sequence = 1",
      "DELETE FROM audit_heads",
      "UPDATE audit_checkpoints SET token = 'x'",
      "DELETE FROM audit_checkpoints",
      ...(engine.name === "sqlite"
        ? ["INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries"]
        : ["TRUNCATE audit_entries", "TRUNCATE audit_heads", "TRUNCATE audit_checkpoints"]),
    ]) {
      await expect(service.execute(statement), statement).rejects.toThrow("the audit trail is only added to");
    }
    expect(await service.verify()).toMatchObject({ intact: true, entryCount: 2n });
  });

  test("is guarded again after the next start, if somebody took the guards down", async () => {
    const service = await audited(engine);
    await service.change(1);
    await service.execute(...takeGuardsDown[engine.name]);
    await service.server.stop();
    await (await openStore({ url: service.url })).close();
    await expect(service.execute("DELETE FROM audit_entries")).rejects.toThrow("the audit trail is only added to");
  });

  test("tells which entry was altered, whatever of it was", async () => {
    const service = await audited(engine);
    await service.change(20);
    await service.execute(...takeGuardsDown[engine.name]);
    const later = engine.name === "sqlite" ? "create_time + 1" : "create_time + interval '1 ms'";
    const byte = engine.name === "sqlite" ? "x'00'" : "'\\x00'";
    const texts = ["action", "module", "actor_type", "actor_id", "user_id", "target_type", "target_id", "rpc"];
    const altered = [
      ...[...texts, "request_id", "outcome", "reason", "ip", "entry_id"].map((column) => `${column} = 'x'`),
      ...[`before = '{"a":1}'`, `after = '{"a":1}'`, `create_time = ${later}`, `sealed_ip = ${byte}`, `hash = ${byte}`],
    ];
    for (const [n, change] of altered.entries()) {
      const place = BigInt(n + 2);
      const only = { startSequence: place, endSequence: place };
      expect(await service.verify(only), change).toMatchObject({ intact: true, entryCount: 1n });
      await service.execute(`UPDATE audit_entries SET ${change} WHERE sequence = ${place}`);
      expect(await service.verify(only), change).toMatchObject({ intact: false, firstBrokenSequence: place });
    }
    expect(await service.verify()).toMatchObject({ intact: false, firstBrokenSequence: 2n, entryCount: 1n });
  });

  test.each([
    "UPDATE audit_entries SET sequence = 99 WHERE sequence = 2",
    "DELETE FROM audit_entries WHERE sequence = 2",
  ])("tells that an entry is missing from its place: %s", async (statement) => {
    const service = await audited(engine);
    await service.change(4);
    await service.execute(...takeGuardsDown[engine.name], statement);
    expect(await service.verify()).toMatchObject({ intact: false, firstBrokenSequence: 2n });
    expect(await service.verify({ startSequence: 4n })).toMatchObject({ intact: true });
  });

  test("tells that its tail was cut, also when its end says otherwise", async () => {
    const service = await audited(engine);
    await service.change(4);
    await service.execute(...takeGuardsDown[engine.name], "DELETE FROM audit_entries WHERE sequence > 2");
    expect(await service.verify()).toMatchObject({ intact: false, firstBrokenSequence: 3n });
    await service.execute(
      "DELETE FROM audit_entries WHERE sequence > 2",
      `UPDATE audit_heads SET sequence = 2, hash = (SELECT hash FROM audit_entries WHERE sequence = 2)`,
    );
    expect(await service.verify()).toMatchObject({ intact: false, firstBrokenSequence: 3n });
  });

  test("tells by a checkpoint that the chain was put back to an earlier state as a whole", async () => {
    const service = await audited(engine);
    await service.change(2);
    await service.execute("CREATE TABLE old_heads AS SELECT * FROM audit_heads");
    await service.change(2);
    await service.upkeep.checkpoint();
    const { checkpoints } = await service.admin.listAuditCheckpoints({}, await service.token());
    expect(checkpoints).toMatchObject([{ sequence: 4n }]);
    const kept = checkpoints[0]?.token ?? "";
    const putBack = [
      "DELETE FROM audit_entries WHERE sequence > 2",
      "DELETE FROM audit_heads",
      "INSERT INTO audit_heads SELECT * FROM old_heads",
    ];
    await service.execute(...takeGuardsDown[engine.name], ...putBack);
    // Its own checkpoint tells, as long as it is there.
    expect(await service.verify()).toMatchObject({ intact: false, firstBrokenSequence: 3n });
    await service.execute(...putBack, "DELETE FROM audit_checkpoints");
    expect(await service.verify()).toMatchObject({ intact: true });
    await service.execute(...putBack);
    expect(await service.verify({ checkpoint: kept })).toMatchObject({ intact: false, firstBrokenSequence: 3n });
    // Also once the chain has grown past it.
    await service.change(4);
    expect(await service.verify({ checkpoint: kept })).toMatchObject({ intact: false, firstBrokenSequence: 4n });
  });

  test("compares with no checkpoint that was forged, altered or made for another tenant", async () => {
    const service = await audited(engine);
    await service.change(1);
    await service.change(1, "other");
    await service.upkeep.checkpoint();
    const { checkpoints } = await service.admin.listAuditCheckpoints({}, await service.token());
    const token = checkpoints[0]?.token ?? "";
    expect(await service.verify({ checkpoint: token })).toMatchObject({ intact: true, checkpoint: { token } });
    const [header, , signature] = token.split(".");
    const claims = Buffer.from(`{"tid":"dev","seq":1,"hash":"AA","iat":1}`).toString("base64url");
    const none = Buffer.from(`{"alg":"none","typ":"audit-checkpoint+jwt"}`).toString("base64url");
    for (const checkpoint of [`${header}.${claims}.${signature}`, `${none}.${claims}.`, "a.b.c", "x", `${token}.x`]) {
      const refused = await failure(service.verify({ checkpoint }));
      expect([refused.reason, refused.metadata.field], checkpoint).toEqual(["INVALID_FIELD", "checkpoint"]);
    }
    const foreign = service.admin.verifyAuditChain({ checkpoint: token }, await service.token("other"));
    expect((await failure(foreign)).reason).toBe("INVALID_FIELD");
  });

  test("is exported as JSON lines, whole or from a place on", async () => {
    const service = await audited(engine);
    await enrolApp(service, "ann");
    await service.change(70);
    const exported = async (request: object) => {
      const parts = await drain(
        streamer(service.port)(AdminMfaService.method.exportAudit, request, await service.token()),
      );
      for (const { jsonLines } of parts) expect(jsonLines.length).toBeLessThanOrEqual(32 * 1024);
      const lines = parts.flatMap(({ jsonLines }) => Buffer.from(jsonLines).toString().trimEnd().split("\n"));
      return { parts, entries: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
    };
    const { parts, entries } = await exported({});
    expect(parts.length).toBeGreaterThan(1);
    expect(entries.map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 73 }, (_, n) => n + 1));
    expect(entries.at(-1)).toMatchObject({ action: "audit.exported", operatorId: "root" });
    expect(parts.at(-1)?.lastSequence).toBe(73n);
    expect(entries[0]).toMatchObject({ userId: "ann", operatorId: "ann", actorType: "PRINCIPAL_USER" });
    expect((await exported({ afterSequence: 70n })).entries.map(({ sequence }) => sequence)).toEqual([
      "71",
      "72",
      "73",
      "74",
    ]);
    const some = await exported({ filter: { userId: "ann" } });
    expect(some.entries.map(({ action }) => action)).toEqual(["totp.enrollment_started", "totp.enrolled"]);
  });

  test("forgets what is older than it is kept, and the rest still verifies", async () => {
    const service = await audited(engine);
    await service.change(5);
    await service.upkeep.checkpoint();
    const { checkpoints } = await service.admin.listAuditCheckpoints({}, await service.token());
    service.pass(364 * DAY);
    await service.change(2);
    service.pass(2 * DAY);
    await service.upkeep.forget();
    await service.upkeep.forget();
    const entries = await service.list({}, { order: AuditOrder.OLDEST_FIRST });
    expect(entries.map(({ sequence, action }) => `${sequence} ${action}`)).toEqual([
      "6 tenant_settings.updated",
      "7 tenant_settings.updated",
      "8 audit.forgotten",
    ]);
    expect(await service.verify()).toMatchObject({ intact: true, entryCount: 4n });
    expect(await service.verify({ checkpoint: checkpoints[0]?.token ?? "" })).toMatchObject({ intact: true });
    await service.execute(...takeGuardsDown[engine.name], "UPDATE audit_heads SET floor_sequence = 6");
    expect(await service.verify()).toMatchObject({ intact: false, firstBrokenSequence: 1n });
  });

  test("forgets what a run left that ended behind its raising of the floor, and nothing below a floor that is not ours", async () => {
    const service = await audited(engine);
    await service.change(3);
    service.pass(366 * DAY);
    let writes = 0;
    const write: Store["write"] = async (work, about) => {
      writes += 1;
      if (writes === 2) throw new StoreUnavailable("killed");
      return service.store.write(work, about);
    };
    const killed = service.upkeepOn({ ...service.store, write });
    await expect(killed.forget()).rejects.toThrow("killed");
    const rows = () => service.store.read((tx) => span(tx, 0));
    expect((await rows()).length).toBe(4);
    expect(await service.upkeep.forget()).toBe(3);
    expect((await rows()).map(({ action }) => action)).toEqual(["audit.forgotten"]);
    await service.execute("UPDATE audit_heads SET floor_sequence = 4");
    await service.upkeep.forget();
    expect((await rows()).length).toBe(1);
  });

  test("forgets nothing of a chain that was altered", async () => {
    const service = await audited(engine);
    await service.change(3);
    await service.execute(...takeGuardsDown[engine.name], "UPDATE audit_entries SET reason = 'x' WHERE sequence = 2");
    service.pass(400 * DAY);
    await service.upkeep.forget();
    expect((await service.list()).map(({ sequence }) => sequence)).toEqual([3n, 2n, 1n]);
  });

  test("names a user only as long as they are not forgotten", async () => {
    const service = await audited(engine);
    await enrolApp(service, "ann");
    const [{ ip: before } = { ip: "" }] = await service.list({ userId: "ann" });
    expect(before).toBe("127.0.0.1");
    await service.store.write((tx) => auditSubjectRepository(tx).delete({ tenantId: "dev", userId: "ann" }));
    expect(await service.list({ userId: "ann" })).toEqual([]);
    const [entry] = await service.list({ module: "totp" });
    expect(entry?.ip).toBe("");
    expect(entry?.userId).toMatch(/^[\w-]{22}$/);
    expect(entry?.operatorId).toBe(entry?.userId);
    expect(await service.list({ userId: entry?.userId ?? "" })).toHaveLength(2);
    expect(await service.verify()).toMatchObject({ intact: true });
  });

  test("is closed to administrators without its scope", async () => {
    const service = await audited(engine);
    const token = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" });
    const { listConfigAuditLogs, verifyAuditChain, listAuditCheckpoints } = service.admin;
    for (const rpc of [listConfigAuditLogs, verifyAuditChain, listAuditCheckpoints]) {
      expect((await failure(rpc({}, token))).reason).toBe("ACCESS_DENIED");
    }
    const stream = streamer(service.port)(AdminMfaService.method.exportAudit, {}, token);
    expect((await failure(stream.next())).reason).toBe("ACCESS_DENIED");
  });
});
