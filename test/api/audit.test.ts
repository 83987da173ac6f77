import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { AuditOrder } from "../../gen/mfa/v1/audit_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { auditEntryRepository } from "../../src/audit/audit-entries.repository.ts";
import { auditHeads } from "../../src/audit/audit-heads.table.ts";
import { auditSubjectRepository } from "../../src/audit/audit-subjects.repository.ts";
import { append } from "../../src/audit/trail.ts";
import { createAuditUpkeep } from "../../src/audit/upkeep.ts";
import { createVerification } from "../../src/audit/verification.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { openStore } from "../../src/db/open.ts";
import { type Store, StoreUnavailable, type Tx } from "../../src/db/store.ts";
import { DEFAULT_LIMITS } from "../../src/rpc/limits/listener-limits.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { drain, failure, streamer, tally } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

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

/** An entry of an administrator's, about nobody. */
const entryAt = (createTime: Date) => ({
  ...{ tenantId: "dev", userId: "", action: "x.done", targetType: "x", targetId: "x", reason: "", outcome: "SUCCESS" },
  ...{ actorType: "ADMIN", actorId: "root", isByUser: false, isFromUser: false, ip: "", rpc: "", callId: "" },
  ...{ before: null, after: null, createTime },
});

/** Writes a copy of the first entry to a place, as somebody with the database might. */
const strangeEntry = (place: number) => {
  const columns =
    "action, module, actor_type, actor_id, user_id, target_type, target_id, rpc, request_id, outcome, reason, ip, create_time";
  return `INSERT INTO audit_entries (tenant_id, entry_id, sequence, ${columns})
    SELECT tenant_id, 'strange ${place}', ${place}, ${columns} FROM audit_entries WHERE sequence = 1`;
};

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
    "DROP TRIGGER audit_heads_no_return_v2",
    "DROP TRIGGER audit_heads_no_delete_v1",
    "DROP TRIGGER audit_checkpoints_no_delete_v1",
    "DROP TRIGGER audit_checkpoints_no_update_v1",
  ],
  postgres: [
    "DROP TRIGGER audit_entries_no_update_v1 ON audit_entries",
    "DROP TRIGGER audit_entries_no_delete_v1 ON audit_entries",
    "DROP TRIGGER audit_heads_no_return_v2 ON audit_heads",
    "DROP TRIGGER audit_heads_no_delete_v1 ON audit_heads",
    "DROP TRIGGER audit_checkpoints_no_change_v1 ON audit_checkpoints",
  ],
};

describe.each(engines)("the audit trail on $name", (engine) => {
  test("a check that is given up does not go on, and does not say that anything was found", async () => {
    const service = await serviceForTest(engine, { limits: { maxWorkMs: 1 } });
    const keyring = await openKeyring(await readKeyFile(join(service.dataDir, "keys.json")), service.store);
    const entry = entryAt(service.clock.now);
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
    expect(service.log.join("\n")).toContain(`"callId":"${entry?.callId}"`);
  });

  test("takes the client's own id of a call, where it looks like one", async () => {
    const service = await audited(engine);
    const change = { totp: { issuer: "Shop" }, version: 0n };
    await service.admin.updateTenantSettings(change, await service.token(), { "x-request-id": "order-7" });
    expect((await service.list({ module: "tenant_settings" }))[0]?.callId).toBe("order-7");
  });

  test("is read by action, kind, user, operator and time, and every reading is in it", async () => {
    const service = await audited(engine);
    const { deviceId } = await enrollApp(service, "ann");
    await enrollApp(service, "bob");
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
    const whole = await service.verify();
    expect(whole).toMatchObject({ intact: true, firstBrokenSequence: 0n });
    expect((await service.list({ module: "audit" })).map(({ action }) => action)).toContain("audit.verified");
    const part = await service.verify({ startSequence: 31n, endSequence: 60n });
    expect([part.startHash, part.endHash]).toEqual([entries[29]?.hash, entries[59]?.hash]);
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

  test("is broken where the newest checkpoint in the database is none that the service has signed for that place", async () => {
    const service = await audited(engine);
    await service.change(2);
    await service.upkeep.checkpoint();
    expect(await service.verify()).toMatchObject({ intact: true });
    const place = (await service.admin.listAuditCheckpoints({}, await service.token())).checkpoints[0]?.sequence;
    await service.execute(...takeGuardsDown[engine.name], "UPDATE audit_checkpoints SET token = 'x'");
    expect(await service.verify()).toMatchObject({ intact: false, firstBrokenSequence: place });
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

  test("goes on behind an entry that somebody wrote past its end, once an operator has repaired it", async () => {
    const service = await audited(engine);
    for (const n of [1, 2]) await service.change(n);
    const end = (await rowsIn(service.store, auditHeads))[0]?.sequence ?? 0;
    for (const place of [end + 1, end + 2]) await service.execute(strangeEntry(place));
    expect(await failure(service.change(3))).toMatchObject({ code: status.INTERNAL });
    const found = await service.admin.verifyAuditChain({}, await service.token());
    expect(found).toMatchObject({ intact: false, firstBrokenSequence: BigInt(end + 1) });
    const reader = await service.token();
    expect(await failure(service.admin.repairAuditChain({ reason: "x" }, reader))).toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    const operator = await adminOf(service, "mfa.audit.repair");
    const repaired = await service.admin.repairAuditChain({ reason: "an intruder" }, operator);
    expect(repaired).toMatchObject({
      firstForeignSequence: BigInt(end + 1),
      lastForeignSequence: BigInt(end + 2),
      sequence: BigInt(end + 3),
    });
    await service.change(4);
    const [entry] = await service.list({ action: "audit.repaired" });
    expect(entry).toMatchObject({ operatorId: "root", reason: "an intruder", sequence: BigInt(end + 3) });
    expect(entry?.after).toEqual({ firstForeignSequence: end + 1, lastForeignSequence: end + 2 });
    // What was written stays found, and what came since is a chain.
    const whole = await service.admin.verifyAuditChain({}, await service.token());
    expect(whole).toMatchObject({ intact: false, firstBrokenSequence: BigInt(end + 1) });
    const since = { startSequence: repaired.sequence };
    expect(await service.admin.verifyAuditChain(since, await service.token())).toMatchObject({ intact: true });
    const again = await service.admin.repairAuditChain({ reason: "once more" }, operator);
    expect(again).toMatchObject({ firstForeignSequence: 0n, lastForeignSequence: 0n });
  });

  test("is repaired behind strange entries up to a million places past its end, and no further", async () => {
    const service = await audited(engine);
    await service.change(1);
    const far = 1_000_000 + 2;
    await service.execute(strangeEntry(far));
    const operator = await adminOf(service, "mfa.audit.repair");
    const repair = () => service.admin.repairAuditChain({ reason: "a drill" }, operator);
    expect(await repair()).toMatchObject({ firstForeignSequence: 0n, lastForeignSequence: 0n, sequence: 2n });
    expect(await repair()).toMatchObject({ firstForeignSequence: 3n, lastForeignSequence: BigInt(far) });
  });

  test("goes on behind its last entry, once an operator has repaired an end that somebody wrote beyond every count", async () => {
    const service = await audited(engine);
    const operator = await adminOf(service, "mfa.audit.repair");
    // SQLite keeps whatever is written into a column.
    const absurd = ["9007199254740991", "9223372036854775807", ...(engine.name === "sqlite" ? ["'none'"] : []), "-7"];
    for (const [n, sequence] of absurd.entries()) {
      await service.change(n + 1);
      const end = (await rowsIn(service.store, auditHeads))[0]?.sequence ?? 0;
      if (sequence === "-7") await service.execute(...takeGuardsDown[engine.name]); // which refuse a way back
      await service.execute(`UPDATE audit_heads SET sequence = ${sequence}`);
      expect(await service.verify(), sequence).toMatchObject({ intact: false });
      expect(await failure(service.change(1)), sequence).toMatchObject({ code: status.INTERNAL });
      const repaired = await service.admin.repairAuditChain({ reason: "an intruder" }, operator);
      expect(repaired, sequence).toMatchObject({
        ...{ firstForeignSequence: 0n, lastForeignSequence: 0n },
        sequence: BigInt(end + 1),
      });
      await service.change(n + 2);
      const [entry] = await service.list({ action: "audit.repaired" });
      expect(entry).toMatchObject({ reason: "an intruder", after: { head: String(end) } });
      expect(await service.verify(), sequence).toMatchObject({ intact: true });
    }
  });

  test("says where an entry stands that cannot even be read, instead of failing", async () => {
    const service = await audited(engine);
    await service.change(12);
    await service.execute(...takeGuardsDown[engine.name]);
    // SQLite keeps whatever is written into a column; PostgreSQL takes JSON only for JSON.
    const altered =
      engine.name === "sqlite"
        ? ["before = '{no'", "after = 'null'", "hash = 'text'", "create_time = 'noon'", "sealed_ip = 7", "after = ''"]
        : ["before = '\"text\"'", "after = '7'", "before = 'null'"];
    for (const [n, change] of altered.entries()) {
      const place = BigInt(altered.length + 1 - n);
      await service.execute(`UPDATE audit_entries SET ${change} WHERE sequence = ${place}`);
      expect(await service.verify(), change).toMatchObject({ intact: false, firstBrokenSequence: place });
    }
    await service.change(1);
    expect((await service.list({ action: "tenant_settings.updated" })).length).toBeGreaterThan(0);
  });

  test("is intact to a check that retention and checkpoints pass by", async () => {
    const service = await audited(engine);
    await service.change(12);
    service.pass(200 * DAY);
    await service.change(6);
    service.pass(200 * DAY);
    let reads = 0;
    // Between the check's own reads, one after the other, another instance forgets and states where the chain stands.
    const passedBy: Store = {
      ...service.store,
      read: async (work) => {
        const result = await service.store.read(work);
        reads += 1;
        if (reads === moment) {
          await service.upkeep.forget();
          await service.upkeep.checkpoint();
        }
        return result;
      },
    };
    let moment = 1;
    const keyring = await openKeyring(await readKeyFile(join(service.dataDir, "keys.json")), service.store);
    const verify = createVerification({ store: passedBy, keyring });
    for (let last = 0; last === 0 || reads >= moment; moment += 1) {
      reads = 0;
      last = moment;
      await service.change(3);
      service.pass(200 * DAY);
      await service.change(2);
      service.pass(200 * DAY);
      const whole = { tenantId: "dev", start: 0, end: 0, checkpoint: undefined };
      const found = await verify(whole, new AbortController().signal);
      expect(found.firstBroken, `passed by after read ${moment}`).toBe(0);
      if (moment > 30) break;
    }
    expect(moment).toBeGreaterThan(4);
  });

  test("is exported as JSON lines, whole or from a place on", async () => {
    const service = await audited(engine);
    await enrollApp(service, "ann");
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

  test("is exported in a stream of an hour at most, behind whose last part the next one goes on", async () => {
    expect(DEFAULT_LIMITS.maxStreamMs).toBe(3_600_000);
    const service = await serviceForTest(engine, { limits: { maxStreamMs: 500 } });
    const keyring = await openKeyring(await readKeyFile(join(service.dataDir, "keys.json")), service.store);
    const entry = { ...entryAt(service.clock.now), reason: "x".repeat(2_000) };
    for (let place = 0; place < 800; place += 100) {
      await service.store.write(async (tx) => {
        for (let n = 0; n < 100; n += 1) await append(tx, keyring.mac, entry);
      });
    }
    const token = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: SCOPE });
    const exported = (afterSequence: bigint) =>
      streamer(service.port)(AdminMfaService.method.exportAudit, { afterSequence }, token);
    const slow = exported(0n);
    let last = (await slow.next())?.lastSequence ?? 0n;
    // A client that takes nothing more for longer than that.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const rest = async () => {
      for (let part = await slow.next(); part; part = await slow.next()) last = part.lastSequence;
    };
    await expect(rest()).rejects.toThrow();
    expect(last).toBeLessThan(800n);
    const [next] = await drain(exported(last));
    const [line] = Buffer.from(next?.jsonLines ?? [])
      .toString()
      .split("\n");
    expect(JSON.parse(line ?? "")).toMatchObject({ sequence: String(last + 1n) });
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
    await enrollApp(service, "ann");
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
