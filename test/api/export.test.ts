import { describe, expect, test } from "vitest";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf } from "../support/actors/backend.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollEmail, enrollPhone, newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { encodingsOf } from "../support/engine/residue.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const reason = "asked for it, ticket 4711";

const exportOf = async (service: ServiceUnderTest, userId = "ann") =>
  service.admin.exportUser({ userId, reason }, await adminOf(service, "mfa.export"));

type Rows = Record<string, unknown>[];

describe.each(engines)("exporting a user on $name", (engine) => {
  test("shows everything that is held, addresses in full, and no secret", { timeout: 30_000 }, async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await allowTrust(service);
    const { app, codes } = await enrollCodes(service, "ann");
    await enrollPasskey(service, "ann");
    await enrollPhone(service, "ann");
    await enrollEmail(service, "eve");
    const { trustToken } = await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
    const { code: pass } = await service.admin.issueTemporaryPass({ userId: "ann", reason }, await adminOf(service));
    await service.mfa.sendSmsCode({}, await service.user("ann", "aal2"));
    const sent = await newestCode(service, "ann");

    const { data, exportTime } = await exportOf(service);
    expect(exportTime?.seconds).toBe(BigInt(service.clock.now.getTime() / 1000));
    const tables = data as Record<string, Rows>;
    for (const name of [
      ...["users", "totp_devices", "webauthn_credentials", "otp_addresses", "backup_codes", "temporary_passes"],
      ...["trusted_devices", "events", "send_decisions", "audit_entries", "otp_challenges"],
    ]) {
      expect(tables[name]?.length, name).toBeGreaterThan(0);
    }
    expect(data?.addresses).toEqual([phone()]);
    expect(tables.audit_entries?.map(({ user_id }) => user_id)).toEqual(tables.audit_entries?.map(() => "ann"));
    const text = JSON.stringify(data);
    for (const secret of [app.secret, ...codes, pass, trustToken, sent]) {
      expect(encodingsOf(secret).filter((encoded) => text.includes(encoded.toString("latin1")))).toEqual([]);
    }
    for (const { selector } of tables.backup_codes ?? []) expect(selector).toBeUndefined();
    // Nothing binary is shown: secrets, digests, MACs and keys are all of it.
    const columns = Object.values(tables).flatMap((rows) => [rows].flat().flatMap((row) => Object.keys(row ?? {})));
    const binary = ["sealed_secret", "row_mac", "public_key", "code_digest", "series_digest", "user_handle", "salt"];
    expect(columns.filter((name) => binary.includes(name))).toEqual([]);
    expect(tables.audit_subjects?.[0]).not.toHaveProperty("pseudonym");
    expect(text).not.toContain("eve@example.com");
  });

  test("shows when a user's devices and networks were seen, and no digest of them", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const client = { ip: "203.0.113.7", userAgent: "Firefox" };
    const backend = await backendOf(service);
    for (const userId of ["ann", "bob"]) await service.internal.evaluateMfa({ userId, client }, backend);
    const [ann, bob] = await Promise.all(["ann", "bob"].map(async (userId) => (await exportOf(service, userId)).data));
    expect((ann as Record<string, Rows>).risk_decisions).toMatchObject([{ user_id: "ann", look: { place: null } }]);
    const time = service.clock.now.getTime();
    expect((bob as Record<string, Rows>).risk_histories).toMatchObject([
      { history: { devices: [{ time }], networks: [{ time }] } },
    ]);
    // Digests are 32 bytes, or 16 of them, as text.
    const texts = JSON.stringify([ann, bob]).match(/"[\w-]{43}"|"[\w-]{22}"/g) ?? [];
    expect(texts).toEqual([]);
    const columns = Object.values(ann as Record<string, Rows>).flatMap((rows) => rows.flatMap(Object.keys));
    expect(columns.filter((name) => name.includes("digest"))).toEqual([]);
  });

  test("is written down with its reason, and shows so the next time", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    await exportOf(service);
    const { data } = await exportOf(service);
    const [last] = (data as Record<string, Rows>).audit_entries ?? [];
    expect(last).toMatchObject({ action: "user.exported", actor_id: "root", reason });
  });

  test("of a user that is not known, or another tenant's, there is nothing", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    expect((await exportOf(service, "nobody")).data).toEqual({});
    const elsewhere = await adminOf(service, "mfa.export", { tenant: "other" });
    expect((await service.admin.exportUser({ userId: "ann", reason }, elsewhere)).data).toEqual({});
  });

  test("it takes a scope that no role has, a fresh second factor, and a reason", async () => {
    const service = await serviceForTest(engine);
    const stale = await adminOf(service, "mfa.export");
    service.pass(301_000);
    const ask = (token: string, text = reason) =>
      failure(service.admin.exportUser({ userId: "ann", reason: text }, token));
    const helpdesk = await adminOf(service, "mfa.read mfa.reset mfa.lockout.write mfa.audit.read");
    expect(await ask(helpdesk)).toMatchObject({ reason: "ACCESS_DENIED" });
    expect(await ask(stale)).toMatchObject({ reason: "INSUFFICIENT_USER_AUTHENTICATION" });
    expect(await ask(await adminOf(service, "mfa.export"), "")).toMatchObject({ reason: "INVALID_FIELD" });
  });

  test("of more rows than a reply holds part is shown, and which table was cut is said", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const values = Array.from({ length: 1_001 }, (_, n) => {
      return `('dev', 'ann', '${n}', 'sms', 'log_in', 'deny', '[]', '', '', '', ${engine.name === "sqlite" ? n : "now()"})`;
    });
    await service.execute(
      `INSERT INTO send_decisions (tenant_id, user_id, decision_id, channel, purpose, decision, reasons, masked, country,
        ip, create_time) VALUES ${values.join()}`,
    );
    const { data } = await exportOf(service);
    const { send_decisions, truncated } = data as Record<string, Rows>;
    expect(send_decisions?.length).toBe(1_000);
    expect(truncated).toEqual(["send_decisions"]);
  });

  test("of more than a client takes in one message part of each table is shown, and which were cut is said", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const long = "Mozilla ".repeat(64);
    const time = engine.name === "sqlite" ? "0" : "now()";
    const events = Array.from({ length: 2_000 }, (_, n) => {
      return `('dev', '${n}', 'ann', 'PROOF_FAILED', 'TOTP', 'WRONG', '', '${long}', '', ${time})`;
    });
    await service.execute(
      `INSERT INTO events (tenant_id, event_id, user_id, type, factor_type, failure_reason, factor_id, user_agent, rpc,
        create_time) VALUES ${events.join()}`,
    );
    const decisions = Array.from({ length: 2_000 }, (_, n) => {
      const standing = `'{"held":[]}', ${engine.name === "sqlite" ? 0 : "false"}`;
      return `('dev', '${n}', 'ann', 'LOW', 'ALLOW', '["${long}", "${long}"]', '{}', ${standing}, 0, '', '', ${time})`;
    });
    await service.execute(
      `INSERT INTO risk_decisions (tenant_id, decision_id, user_id, level, decision, reasons, requirement, standing,
        new_device, policy_version, ip, application, create_time) VALUES ${decisions.join()}`,
    );
    const { data } = await exportOf(service);
    const { events: shown, risk_decisions, totp_devices, audit_entries, truncated } = data as Record<string, Rows>;
    expect(shown?.length).toBeGreaterThan(150);
    expect(risk_decisions?.length).toBeGreaterThan(150);
    expect([totp_devices?.length, audit_entries?.length]).toEqual([1, 2]);
    expect(truncated).toEqual(["events", "risk_decisions"]);
  });
});
