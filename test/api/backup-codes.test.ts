import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { FactorType, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import { BackupCodePolicy } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { events } from "../../src/events/events.table.ts";
import { outboxMessages } from "../../src/outbox/outbox.table.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { enrollCodes, unknownSelector, wrongSecret } from "../support/actors/backup-codes.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollEmail, enrollPhone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const REQUEST_ID = "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11";

const eventTypesOf = async ({ store }: ServiceUnderTest) => (await rowsIn(store, events)).map(({ type }) => type);

const admin = (service: ServiceUnderTest, scope: string, tenant = "dev") =>
  service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope, tenant });

async function set(service: ServiceUnderTest, backupCodes: Record<string, unknown>) {
  const { settings } = await service.admin.getTenantSettings({}, await admin(service, "mfa.read"));
  const version = settings?.version ?? 0n;
  await service.admin.updateTenantSettings({ backupCodes, version }, await admin(service, "mfa.settings.write"));
}

const plain = (value: unknown) => JSON.stringify(value, (_, v) => (typeof v === "bigint" ? String(v) : v));

describe.each(engines)("backup codes on $name", (engine) => {
  test("a user generates ten codes and logs in with each once, in any order", async () => {
    const service = await serviceForTest(engine);
    const { codes, token } = await enrollCodes(service, "ann");
    expect(codes).toHaveLength(10);
    expect(new Set(codes.map((code) => code.slice(0, 3))).size).toBe(10);
    const first = await service.user("ann");
    for (const [spent, code] of codes.toReversed().entries()) {
      const { count, verifyTime } = await service.mfa.verifyBackupCode({ code }, first);
      expect(count).toMatchObject({ remaining: 9 - spent, total: 10, shouldRegenerate: 9 - spent <= 3 });
      expect(Number(verifyTime?.seconds) * 1000).toBe(service.clock.now.getTime());
      const again = await failure(service.mfa.verifyBackupCode({ code }, first));
      expect(again).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED" });
    }
    const { count } = await service.mfa.getBackupCodeCount({}, token);
    expect(count).toMatchObject({ remaining: 0, total: 10, shouldRegenerate: true, confirmed: false });
    expect(count?.lastUseTime?.seconds).toBe(BigInt(service.clock.now.getTime() / 1000));
  });

  test("a set and its codes have ids, and no time of a use before there is one", async () => {
    const service = await serviceForTest(engine);
    const { setId, token } = await enrollCodes(service, "ann");
    const again = await service.mfa.generateBackupCodes({}, token);
    expect(again.expireTime).toBeUndefined();
    const { backupCodes } = await service.mfa.listBackupCodes({}, token);
    for (const id of [setId, again.setId, ...backupCodes.map(({ backupCodeId }) => backupCodeId)]) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    }
    expect(backupCodes.map(({ useTime }) => useTime)).toEqual(Array(10).fill(undefined));
    const { count } = await service.mfa.getBackupCodeCount({}, token);
    expect([count?.remaining, count?.lastUseTime]).toEqual([10, undefined]);
  });

  test("case, spaces, hyphens and look-alikes do not matter", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    const token = await service.user("ann");
    const ways = [
      (code: string) => code.toLowerCase(),
      (code: string) => code.replaceAll("-", ""),
      (code: string) => ` ${[...code].join(" ")} `,
      (code: string) => code.replaceAll("0", "O").replaceAll("1", "l"),
    ];
    for (const [n, write] of ways.entries()) {
      await service.mfa.verifyBackupCode({ code: write(codes[n] ?? "") }, token);
    }
    for (const code of ["", "ABC", "ａBC-DEFG-HJKM-NPQR-STVW", "ABC-DEFG-HJKM-NPQR-STVW-X"]) {
      const refused = await failure(service.mfa.verifyBackupCode({ code }, token));
      expect(refused).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    }
  });

  test("wrong, unknown, used, foreign and impossible codes are refused alike", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    const { codes: bobs } = await enrollCodes(service, "bob");
    const token = await service.user("ann");
    const [used = "", other = ""] = codes;
    await service.mfa.verifyBackupCode({ code: used }, token);
    const refusals: string[] = [];
    for (const code of [used, wrongSecret(other), unknownSelector(codes), bobs[0] ?? "", `UUU${other.slice(3)}`]) {
      refusals.push(String(await failure(service.mfa.verifyBackupCode({ code }, token))));
      await service.mfa.verifyBackupCode({ code: codes[1 + refusals.length] ?? "" }, token);
    }
    expect(new Set(refusals).size).toBe(1);
    expect(refusals[0]).toContain("CODE_REJECTED");
  });

  test("wrong backup codes and wrong codes of an app are counted together, and the lock holds for right ones", async () => {
    const service = await serviceForTest(engine);
    const { app, codes } = await enrollCodes(service, "ann");
    const token = await service.user("ann");
    const [code = ""] = codes;
    for (let n = 0; n < 3; n++) await failure(service.mfa.verifyBackupCode({ code: wrongSecret(code) }, token));
    const wrong = await wrongCode(app);
    for (let n = 0; n < 2; n++) await failure(service.mfa.verifyTotpCode({ code: wrong }, token));
    const locked = await failure(service.mfa.verifyBackupCode({ code }, token));
    expect(locked).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "LOCKED" });
    service.pass(MINUTE + 1);
    await service.mfa.verifyBackupCode({ code }, token);
  });

  test("right codes that are refused for another reason lock nobody", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollCodes(service, "ann");
    const { setId, codes } = await service.mfa.generateBackupCodes({ confirmationRequired: true }, token);
    await service.execute("DELETE FROM totp_devices");
    for (let n = 0; n < 6; n++) {
      const refused = await failure(service.mfa.confirmBackupCodes({ setId, code: codes[0] ?? "" }, token));
      expect(refused.reason).toBe("NOT_ENROLLED");
    }
  });

  test("a user without codes is told so, and one without a factor cannot generate any", async () => {
    const service = await serviceForTest(engine);
    const code = "ABC-DEFG-HJKM-NPQR-STVW";
    const none = await failure(service.mfa.verifyBackupCode({ code }, await service.user("ann")));
    expect(none).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "NOT_ENROLLED" });
    const early = await failure(service.mfa.generateBackupCodes({}, await service.user("ann", "aal2")));
    expect(early).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "NOT_ENROLLED" });
    const { count } = await service.mfa.getBackupCodeCount({}, await service.user("ann"));
    expect(count).toMatchObject({ remaining: 0, total: 0, shouldRegenerate: false, confirmed: false });
    expect((await service.mfa.listBackupCodes({}, await service.user("ann"))).backupCodes).toEqual([]);
  });

  test("codes are no factor: they do not open what a first enrollment opens, nor stand in for one", async () => {
    const service = await serviceForTest(engine);
    await enrollCodes(service, "ann");
    await service.execute("DELETE FROM totp_devices");
    const early = await failure(service.mfa.generateBackupCodes({}, await service.user("ann", "aal2")));
    expect(early.reason).toBe("NOT_ENROLLED");
    await service.mfa.startTotpEnrollment({}, await service.user("ann"));
  });

  test("generating needs a second factor proved within five minutes", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const stale = await service.user("ann", "aal2");
    service.pass(5 * MINUTE + 1000);
    for (const token of [stale, await service.user("ann")]) {
      const refused = await failure(service.mfa.generateBackupCodes({}, token));
      expect(refused).toMatchObject({
        code: status.UNAUTHENTICATED,
        reason: "INSUFFICIENT_USER_AUTHENTICATION",
        metadata: { acr_values: "aal2", max_age: "300" },
      });
    }
  });

  test("generating anew ends every older code", async () => {
    const service = await serviceForTest(engine);
    const { codes: old } = await enrollCodes(service, "ann");
    const { codes, count } = await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    expect(count).toMatchObject({ remaining: 10, total: 10, shouldRegenerate: false });
    const token = await service.user("ann");
    for (const code of old.slice(0, 4)) {
      expect((await failure(service.mfa.verifyBackupCode({ code }, token))).reason).toBe("CODE_REJECTED");
    }
    await service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token);
  });

  test("a set that waits for its confirmation changes nothing until then, and is forgotten after ten minutes", async () => {
    const service = await serviceForTest(engine);
    const { codes: old, token } = await enrollCodes(service, "ann");
    const ask = { confirmationRequired: true };
    const forgotten = await service.mfa.generateBackupCodes(ask, token);
    expect(forgotten.expireTime?.seconds).toBe(BigInt((service.clock.now.getTime() + 10 * MINUTE) / 1000));
    expect(forgotten.count).toMatchObject({ remaining: 10, total: 10 });
    const [waiting = ""] = forgotten.codes;
    expect((await failure(service.mfa.verifyBackupCode({ code: waiting }, token))).reason).toBe("CODE_REJECTED");
    await service.mfa.verifyBackupCode({ code: old[0] ?? "" }, token);

    service.pass(10 * MINUTE);
    const late = service.mfa.confirmBackupCodes({ setId: forgotten.setId }, await service.user("ann", "aal2"));
    expect(await failure(late)).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "CHALLENGE_EXPIRED" });

    const fresh = await service.user("ann", "aal2");
    const replaced = await service.mfa.generateBackupCodes(ask, fresh);
    const { setId, codes } = await service.mfa.generateBackupCodes(ask, fresh);
    const gone = await failure(service.mfa.confirmBackupCodes({ setId: replaced.setId }, fresh));
    expect(gone).toMatchObject({ code: status.NOT_FOUND, reason: "NOT_FOUND" });
    const { count } = await service.mfa.confirmBackupCodes({ setId }, fresh);
    expect(count).toMatchObject({ remaining: 10, confirmed: true });
    expect((await failure(service.mfa.verifyBackupCode({ code: old[1] ?? "" }, fresh))).reason).toBe("CODE_REJECTED");
    await service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, fresh);
  });

  test("a set is confirmed by its id, or by one of its codes, which is not spent by it", async () => {
    const service = await serviceForTest(engine);
    const { setId, codes, token } = await enrollCodes(service, "ann");
    const { codes: bobs } = await enrollCodes(service, "bob");
    await set(service, { policy: BackupCodePolicy.REQUIRED });
    const bare = await failure(service.mfa.confirmBackupCodes({ setId }, token));
    expect(bare).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "POLICY_FORBIDS" });
    for (const code of [wrongSecret(codes[0] ?? ""), bobs[0] ?? "", "x"]) {
      const refused = await failure(service.mfa.confirmBackupCodes({ setId, code }, token));
      expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED" });
    }
    const [code = ""] = codes;
    const { count } = await service.mfa.confirmBackupCodes({ setId, code }, token);
    expect(count).toMatchObject({ remaining: 10, confirmed: true });
    const stranger = await failure(service.mfa.confirmBackupCodes({ setId }, await service.user("bob", "aal2")));
    expect(stranger.reason).toBe("NOT_FOUND");
    await service.mfa.verifyBackupCode({ code }, token);
  });

  test("wrong codes at the confirmation count towards the lock, and confirming again clears no count", async () => {
    const service = await serviceForTest(engine);
    const { setId, codes, token } = await enrollCodes(service, "ann");
    const code = codes[0] ?? "";
    await service.mfa.confirmBackupCodes({ setId, code }, token);
    const wrong = wrongSecret(code);
    for (let n = 0; n < 5; n++) {
      await service.mfa.confirmBackupCodes({ setId, code }, token);
      await failure(service.mfa.verifyBackupCode({ code: wrong }, token));
    }
    expect((await failure(service.mfa.verifyBackupCode({ code }, token))).reason).toBe("LOCKED");
  });

  test("lists and counts show selectors and times, to their user and to administrators, and never a code", async () => {
    const service = await serviceForTest(engine);
    const { codes, token } = await enrollCodes(service, "ann");
    await enrollApp(service, "bob");
    service.pass(1000);
    await service.mfa.verifyBackupCode({ code: codes[3] ?? "" }, token);
    const fresh = await service.user("ann", "aal2");
    const pages = [await service.mfa.listBackupCodes({ pageSize: 6 }, fresh)];
    pages.push(await service.mfa.listBackupCodes({ pageSize: 6, pageToken: pages[0]?.nextPageToken ?? "" }, fresh));
    const listed = pages.flatMap(({ backupCodes }) => backupCodes);
    expect(listed.map(({ selector }) => selector)).toEqual(codes.map((code) => code.slice(0, 3)));
    expect(listed.map(({ used }) => used)).toEqual(codes.map((_, n) => n === 3));
    expect(listed[3]?.useTime?.seconds).toBe(BigInt(service.clock.now.getTime() / 1000));
    expect(pages[1]?.nextPageToken).toBe("");

    const reader = await admin(service, "mfa.read");
    const seen = [
      ...pages,
      await service.mfa.getBackupCodeCount({}, fresh),
      await service.admin.getUserBackupCodeCount({ userId: "ann" }, reader),
      await service.admin.listUserBackupCodeCounts({}, reader),
    ];
    for (const code of codes) {
      for (const secret of [code.slice(4), code.slice(4).replaceAll("-", "")])
        expect(plain(seen)).not.toContain(secret);
    }
  });

  test("administrators page through the tenant's sets, all or those of which a new one is due", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    await enrollCodes(service, "bob");
    await enrollCodes(service, "carl");
    const token = await service.user("ann");
    for (const code of codes.slice(0, 7)) await service.mfa.verifyBackupCode({ code }, token);
    const reader = await admin(service, "mfa.read");
    const first = await service.admin.listUserBackupCodeCounts({ pageSize: 2 }, reader);
    const pageToken = first.nextPageToken;
    const second = await service.admin.listUserBackupCodeCounts({ pageSize: 2, pageToken }, reader);
    expect([...first.counts, ...second.counts].map(({ userId }) => userId)).toEqual(["ann", "bob", "carl"]);
    const low = await service.admin.listUserBackupCodeCounts({ low: true }, reader);
    expect(low.counts).toMatchObject([{ userId: "ann", count: { remaining: 3, shouldRegenerate: true } }]);
    const mixed = await failure(service.admin.listUserBackupCodeCounts({ low: true, pageToken }, reader));
    expect(mixed.reason).toBe("INVALID_PAGE_TOKEN");

    const { count } = await service.admin.getUserBackupCodeCount({ userId: "ann" }, reader);
    expect(count).toMatchObject({ remaining: 3, total: 10 });
    const elsewhere = await admin(service, "mfa.read", "other");
    expect((await service.admin.listUserBackupCodeCounts({}, elsewhere)).counts).toEqual([]);
    for (const [userId, token] of [
      ["ann", elsewhere],
      ["nobody", reader],
    ] as const) {
      const { count } = await service.admin.getUserBackupCodeCount({ userId }, token);
      expect(count).toMatchObject({ remaining: 0, total: 0, shouldRegenerate: false });
    }
  });

  test("that few are left is told once, that none is left when the last is spent", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    const token = await service.user("ann");
    const told: Record<number, string[]> = {};
    for (const [n, code] of codes.entries()) {
      await service.mfa.verifyBackupCode({ code }, token);
      told[9 - n] = (await eventTypesOf(service)).filter((type) => /LOW|EXHAUSTED/.test(type));
    }
    expect(told).toMatchObject({ 4: [], 3: ["BACKUP_CODES_LOW"], 1: ["BACKUP_CODES_LOW"] });
    expect(told[0]).toEqual(["BACKUP_CODES_LOW", "BACKUP_CODES_EXHAUSTED"]);
    const notices = (await rowsIn(service.store, outboxMessages)).map(({ kind }) => kind);
    expect(notices.filter((kind) => kind.startsWith("backup_codes")).sort()).toEqual([
      ...["backup_codes_exhausted", "backup_codes_generated", "backup_codes_low"],
    ]);
  });

  test("a threshold that is raised later tells at the next code", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    const token = await service.user("ann");
    await set(service, { lowThreshold: 1 });
    for (const code of codes.slice(0, 8)) await service.mfa.verifyBackupCode({ code }, token);
    expect(await eventTypesOf(service)).not.toContain("BACKUP_CODES_LOW");
    await set(service, { lowThreshold: 5 });
    await service.mfa.verifyBackupCode({ code: codes[8] ?? "" }, token);
    expect((await eventTypesOf(service)).filter((type) => type === "BACKUP_CODES_LOW")).toHaveLength(1);
  });

  test("the tenant says how many codes a set has, when few are left and what the session may do", async () => {
    const service = await serviceForTest(engine);
    await set(service, { codeCount: 4, lowThreshold: 4, restrictSession: true });
    const { codes, token } = await enrollCodes(service, "ann");
    expect(codes).toHaveLength(4);
    // Nothing is due of a set that nobody has touched.
    expect((await service.mfa.getBackupCodeCount({}, token)).count?.shouldRegenerate).toBe(false);
    const verified = await service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token);
    expect(verified).toMatchObject({ restrictedSession: true, count: { remaining: 3, shouldRegenerate: true } });
  });

  test("a set under an older pepper still works, and a new one is due", async () => {
    const service = await serviceForTest(engine);
    const { codes, token } = await enrollCodes(service, "ann");
    await service.execute("UPDATE backup_code_sets SET pepper_id = 'k-older'");
    const { count } = await service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token);
    expect(count).toMatchObject({ remaining: 9, shouldRegenerate: true });
    const low = await service.admin.listUserBackupCodeCounts({ low: true }, await admin(service, "mfa.read"));
    expect(low.counts).toHaveLength(1);
  });

  test("a repeated request_id generates nothing twice", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const { codes } = await service.mfa.generateBackupCodes({ requestId: REQUEST_ID }, token);
    const repeated = await failure(service.mfa.generateBackupCodes({ requestId: REQUEST_ID }, token));
    expect(repeated).toMatchObject({ code: status.ALREADY_EXISTS, reason: "REQUEST_REPEATED" });
    await service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token);
  });

  test("a code's row moved to another user, tenant or set matches nothing there", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    const { setId } = await enrollCodes(service, "bob");
    const [code = ""] = codes;
    await service.execute(
      `DELETE FROM backup_codes WHERE user_id = 'bob'`,
      `UPDATE backup_codes SET user_id = 'bob', set_id = '${setId}' WHERE user_id = 'ann'`,
    );
    const refused = await failure(service.mfa.verifyBackupCode({ code }, await service.user("bob")));
    expect(refused.reason).toBe("CODE_REJECTED");
  });

  test("the first app brings codes if asked to, in one step with it; further apps bring none", async () => {
    const service = await serviceForTest(engine);
    const enrolling = async (token: string, generateBackupCodes: boolean) => {
      const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
      const code = await showCode(provisioning?.secret ?? "", service.clock.now);
      const finish = (given: string) => service.mfa.finishTotpEnrollment({ code: given, generateBackupCodes }, token);
      const wrong = await failure(finish(code === "111111" ? "222222" : "111111"));
      expect(wrong.reason).toBe("CODE_REJECTED");
      return finish(code);
    };
    const count = async () => (await service.mfa.getBackupCodeCount({}, await service.user("ann", "aal2"))).count;
    const { device, backupCodes, backupCodeSetId } = await enrolling(await service.user("ann"), true);
    expect(device?.deviceId).toBeDefined();
    expect(backupCodes).toHaveLength(10);
    await service.mfa.confirmBackupCodes({ setId: backupCodeSetId }, await service.user("ann", "aal2"));
    await service.mfa.verifyBackupCode({ code: backupCodes[0] ?? "" }, await service.user("ann"));
    expect(await count()).toMatchObject({ remaining: 9, confirmed: true });

    const second = await enrolling(await service.user("ann", "aal2"), true);
    expect(second).toMatchObject({ backupCodes: [], backupCodeSetId: "" });
    expect(await count()).toMatchObject({ remaining: 9 });
    expect((await enrolling(await service.user("bob"), false)).backupCodes).toEqual([]);
  });

  test("status and the list of factors show the set, and what is to be done about it", async () => {
    const service = await serviceForTest(engine);
    const { app, codes, setId, token } = await enrollCodes(service, "ann");
    const status = async () => (await service.mfa.getMfaStatus({}, token)).status;
    expect(await status()).toMatchObject({ backupCodesRemaining: 10 });
    expect((await status())?.recommendations).toContain(Recommendation.CONFIRM_BACKUP_CODES);
    const { factors } = await service.mfa.listFactors({ factorType: FactorType.BACKUP_CODE }, token);
    expect(factors).toMatchObject([{ factorId: setId, type: FactorType.BACKUP_CODE, primary: false }]);
    await service.mfa.confirmBackupCodes({ setId }, token);
    expect((await status())?.recommendations).not.toContain(Recommendation.CONFIRM_BACKUP_CODES);
    for (const code of codes.slice(0, 7)) await service.mfa.verifyBackupCode({ code }, token);
    expect((await status())?.recommendations).toContain(Recommendation.REPLACE_BACKUP_CODES);
    const last = await failure(service.mfa.deleteTotpDevice({ deviceId: app.deviceId }, token));
    expect(last.reason).toBe("LAST_FACTOR");
  });

  test("codes end with the last factor that counts, in whichever way it ends, and the user is told", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await switchPushOn(service);
    await enrollEmail(service, "ann");
    const reason = "called in";
    const admin = await adminOf(service, "mfa.reset");
    const backend = await service.backend("mfa.factors.write");
    const { mfa } = service;
    const app = async () => ({ id: (await enrollApp(service, "ann", "aal2")).deviceId });
    const passkey = async () => ({ id: (await enrollPasskey(service, "ann")).credential.credentialId });
    const phone = async () => ({ id: (await pairPhone(service, "ann", { acr: "aal2" })).id() });
    const number = async () => ({ id: (await enrollPhone(service, "ann")).factorId });
    const sure = { confirmLastFactor: true };
    const { TOTP } = FactorType;
    const ways: [string, () => Promise<{ id: string }>, (deviceId: string, ann: string) => Promise<unknown>][] = [
      ["DeleteFactor", app, (_, ann) => mfa.deleteFactor({ factorType: TOTP, ...sure }, ann)],
      ["DisableTotpDevice", app, (deviceId, ann) => mfa.disableTotpDevice({ deviceId, ...sure }, ann)],
      ["RevokeTotpDevice", app, (deviceId, ann) => mfa.revokeTotpDevice({ deviceId, ...sure }, ann)],
      ["DeleteTotpDevice", app, (deviceId, ann) => mfa.deleteTotpDevice({ deviceId, ...sure }, ann)],
      ["DisableTotp", app, (_, ann) => mfa.disableTotp(sure, ann)],
      ["DisableUserTotp", app, () => service.internal.disableUserTotp({ userId: "ann", reason, ...sure }, backend)],
      [
        "DeleteWebAuthnCredential",
        passkey,
        (id, ann) => mfa.deleteWebAuthnCredential({ credentialId: id, ...sure }, ann),
      ],
      ["RevokePushDevice", phone, (deviceId, ann) => mfa.revokePushDevice({ deviceId, ...sure }, ann)],
      ["DisableSms", number, (_, ann) => mfa.disableSms(sure, ann)],
      ["ResetUserFactor", app, () => service.admin.resetUserFactor({ userId: "ann", factorType: TOTP, reason }, admin)],
      ["ResetUserMfa", app, () => service.admin.resetUserMfa({ userId: "ann", reason }, admin)],
    ];
    for (const [name, enrolled, end] of ways) {
      const { id } = await enrolled();
      const ann = await service.user("ann", "aal2");
      const { codes } = await mfa.generateBackupCodes({}, ann);
      await end(id, ann);
      const { count } = await mfa.getBackupCodeCount({}, await service.user("ann", "aal2"));
      expect([name, count?.remaining]).toEqual([name, 0]);
      const typed = await failure(mfa.verifyBackupCode({ code: codes[0] ?? "" }, await service.user("ann")));
      expect([name, typed.reason]).toEqual([name, "NOT_ENROLLED"]);
      // Of a whole reset the one notice says that everything went.
      const isWhole = name === "ResetUserMfa";
      expect([name, (await endsOf(service)).includes(name)]).toEqual([name, !isWhole]);
      if (name === "DisableTotpDevice" || name === "DisableTotp") await mfa.deleteFactor({ factorType: TOTP }, ann);
    }
  });
});

/** The RPCs by which codes ended with the last factor, of which their user was told. */
const endsOf = async ({ store }: ServiceUnderTest) => {
  const told = (await rowsIn(store, outboxMessages)).filter(({ kind }) => /^factor_(removed|reset)$/.test(kind));
  const isTold = (eventId: string) => told.some(({ idempotencyKey }) => idempotencyKey === eventId);
  return (await rowsIn(store, events))
    .filter(({ factorType, type }) => factorType === "BACKUP_CODE" && /^FACTOR_(REMOVED|RESET)$/.test(type))
    .filter(({ eventId }) => isTold(eventId))
    .map(({ rpc }) => rpc.split("/")[1]);
};
