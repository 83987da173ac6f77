import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, redeem } from "../support/actors/backend.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { CallFailed, failure, tally } from "../support/actors/grpc-client.ts";
import { enrollEmail, inboxOf, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow, PLACED, TRAIL } from "../support/engine/rows.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const reason = "lost phone, ticket 4711";
const HOUR = 3_600_000;
const hours = (n: number) => ({ seconds: BigInt(n * 3600), nanos: 0 });

/** What a receipt says was removed, by kind. */
const counts = (receipt: { removed: readonly { kind: string; count: bigint }[] } | undefined) =>
  Object.fromEntries((receipt?.removed ?? []).map(({ kind, count }) => [kind, Number(count)]));

const receiptOf = ({ outcome }: { outcome: { case?: string | undefined; value?: unknown } }) => {
  expect(outcome.case).toBe("receipt");
  return outcome.value as { removed: { kind: string; count: bigint }[]; mfaEpoch: bigint; coolDownUntilTime?: unknown };
};

const resetAll = async (service: ServiceUnderTest, userId = "ann", more: object = {}) =>
  receiptOf(await service.admin.resetUserMfa({ userId, reason, ...more }, await adminOf(service)));

/** A user with every kind of factor. */
async function enrollEverything(service: ServiceUnderTest, user: string) {
  await switchOn(service);
  await allowTrust(service);
  await switchPushOn(service);
  const app = await enrollCodes(service, user);
  const { credential } = await enrollPasskey(service, user);
  const token = await service.user(user, "aal2");
  const device = await pairPhone(service, user, { acr: "aal2" });
  const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token);
  const [message] = await inboxOf(service, user);
  await service.mfa.finishSmsEnrollment({ challengeId: delivery?.challengeId ?? "", code: message?.code ?? "" }, token);
  await service.admin.issueTemporaryPass({ userId: user, reason }, await adminOf(service));
  const trusted = await service.mfa.trustDevice({}, await service.user(user, "aal2"));
  return { app, credential, device, trusted };
}

describe.each(engines)("resets on $name", (engine) => {
  test("a reset takes every factor, code and trust in one unit, and says how many of each", async () => {
    const service = await serviceForTest(engine);
    const { trusted } = await enrollEverything(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const before = (await service.mfa.getMfaStatus({}, await service.user("ann"))).status;
    expect(before?.trustedDeviceCount).toBe(1);

    const receipt = await resetAll(service);
    expect(counts(receipt)).toEqual({
      ...{ webauthn_credentials: 1, push_devices: 1, totp_devices: 1, phone_numbers: 1 },
      ...{ backup_codes: 10, temporary_passes: 1, trusted_devices: 1, challenges: 1 },
    });
    expect(receipt.mfaEpoch).toBe((before?.mfaEpoch ?? 0n) + 1n);
    expect(receipt.coolDownUntilTime).toBeUndefined();
    const { status } = await service.mfa.getMfaStatus({}, await service.user("ann"));
    expect(status).toMatchObject({ enrolled: false, factors: [], backupCodesRemaining: 0, temporaryPass: false });
    expect(status).toMatchObject({ trustedDeviceCount: 0, mfaEpoch: receipt.mfaEpoch });
    const { deviceTrust } = await service.internal.checkUserDeviceTrust(
      { userId: "ann", trustToken: trusted.trustToken, client: { ip: "203.0.113.7" } },
      await service.backend("mfa.verify"),
    );
    expect(deviceTrust?.trusted ?? false).toBe(false);
    const { challenge } = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(challenge?.state).toBe(5 /* CANCELLED */);
  });

  test("a reset of one kind leaves the others, and one of one device leaves its siblings", async () => {
    const service = await serviceForTest(engine);
    const first = await enrollApp(service, "ann");
    const second = await enrollApp(service, "ann", "aal2");
    await enrollPasskey(service, "ann");
    const root = await adminOf(service);
    const one = { userId: "ann", factorType: FactorType.TOTP, factorId: first.deviceId, reason };
    expect(counts(receiptOf(await service.admin.resetUserFactor(one, root)))).toEqual({ totp_devices: 1 });
    const left = async () => (await service.admin.listUserFactors({ userId: "ann" }, root)).factors;
    expect((await left()).map(({ factorId }) => factorId)).toContain(second.deviceId);
    // Asked for again, there is nothing to do and nothing to tell.
    expect(counts(receiptOf(await service.admin.resetUserFactor(one, root)))).toEqual({});
    const all = { userId: "ann", factorType: FactorType.TOTP, reason };
    expect(counts(receiptOf(await service.admin.resetUserFactor(all, root)))).toEqual({ totp_devices: 1 });
    expect((await left()).map(({ type }) => type)).toEqual([FactorType.WEBAUTHN]);
    const resets = (await eventsOf(service.store)).filter((event) => event.includes("RESET"));
    expect(resets).toEqual(["FACTOR_RESET UNSPECIFIED", "FACTOR_RESET UNSPECIFIED"]);
  });

  test("a reset of one kind ends trust in the user's devices, and tells them, also of the last factor", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await allowTrust(service);
    await enrollEmail(service, "ann");
    await enrollApp(service, "ann");
    await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
    const asked = { userId: "ann", factorType: FactorType.TOTP, reason };
    const receipt = receiptOf(await service.admin.resetUserFactor(asked, await adminOf(service)));
    expect(counts(receipt)).toEqual({ totp_devices: 1, trusted_devices: 1 });
    const { status } = await service.mfa.getMfaStatus({}, await service.user("ann"));
    expect(status).toMatchObject({ enrolled: false, trustedDeviceCount: 0 });
    await expect
      .poll(async () => (await inboxOf(service, "ann")).map(({ body }) => body).join(), { timeout: 20_000 })
      .toContain("Removed by an administrator: authenticator app");
  });

  test("a lock stays through a reset, until an administrator clears it", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const code = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code }, app.token));
    await resetAll(service);
    const locked = async () =>
      (await service.mfa.getMfaStatus({}, await service.user("ann"))).status?.lock?.codesLocked;
    expect(await locked()).toBe(true);
    const root = await adminOf(service, "mfa.lockout.write");
    await service.admin.clearLockout({ userId: "ann", reason }, root);
    expect(await locked()).toBe(false);
  });

  test("of each kind one instance can be taken, pending ones too, and never one of another kind or user", async () => {
    const service = await serviceForTest(engine);
    await enrollEverything(service, "ann");
    const bob = await enrollApp(service, "bob");
    await service.mfa.startTotpEnrollment({}, await service.user("ann", "aal2"));
    await service.mfa.startPushDeviceEnrollment({}, await service.user("ann", "aal2"));
    await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, await service.user("ann", "aal2"));
    const root = await adminOf(service);
    const { factors } = await service.admin.listUserFactors({ userId: "ann" }, root);
    expect(factors.length).toBe(9);
    // Backup codes would else end with the last factor that counts.
    const isCode = ({ type }: { type: FactorType }) => type === FactorType.BACKUP_CODE;
    for (const { factorId, type } of factors.toSorted((a, b) => Number(isCode(b)) - Number(isCode(a)))) {
      const other = factors.find((one) => one.type !== type)?.factorId ?? "";
      for (const foreign of [bob.deviceId, other]) {
        const wrong = { userId: "ann", factorType: type, factorId: foreign, reason };
        const removed = counts(receiptOf(await service.admin.resetUserFactor(wrong, root)));
        expect(removed).toEqual({});
      }
      const right = { userId: "ann", factorType: type, factorId, reason };
      const removed = counts(receiptOf(await service.admin.resetUserFactor(right, root)));
      expect(Object.values(removed)[0], FactorType[type]).toBeGreaterThan(0);
    }
    expect((await service.admin.listUserFactors({ userId: "ann" }, root)).factors).toEqual([]);
    expect((await service.mfa.getMfaStatus({}, bob.token)).status?.enrolled).toBe(true);
  });

  test("the user is told, at the address that the reset takes too; entry and event name no more than they must", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await enrollApp(service, "ann");
    await resetAll(service);
    await expect
      .poll(async () => (await inboxOf(service, "ann")).map(({ body }) => body).join(), { timeout: 20_000 })
      .toContain("All second factors were removed by an administrator");
    expect(JSON.stringify((await inboxOf(service, "ann")).map(({ subject, body }) => subject + body))).not.toContain(
      reason,
    );
    expect(await eventsOf(service.store)).toContain("USER_RESET UNSPECIFIED");
    const auditor = await adminOf(service, "mfa.audit.read");
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { action: "user.reset" } }, auditor);
    expect(entries).toMatchObject([{ operatorId: "root", userId: "ann", targetId: "ann", reason }]);
    expect(entries[0]?.after).toEqual({ removed: { totp_devices: 1, email_addresses: 1 } });
  });

  test("it is refused on oneself, without scope, with one factor or a stale second one, and changes nothing then", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const stale = await adminOf(service);
    service.pass(301_000);
    const before = await everyRow(service.store, [...PLACED, ...TRAIL]);
    const asked = { userId: "ann", reason };
    const kind = { ...asked, factorType: FactorType.TOTP };
    const refusals = [
      [await adminOf(service, "mfa.reset", { subject: "ann" }), "SELF_ACTION"],
      [await adminOf(service, "mfa.read mfa.policy.write"), "ACCESS_DENIED"],
      [await adminOf(service, "mfa.reset", { acr: "aal1" }), "INSUFFICIENT_USER_AUTHENTICATION"],
      [stale, "INSUFFICIENT_USER_AUTHENTICATION"],
    ] as const;
    for (const [token, expected] of refusals) {
      expect((await failure(service.admin.resetUserMfa(asked, token))).reason).toBe(expected);
      expect((await failure(service.admin.resetUserFactor(kind, token))).reason).toBe(expected);
    }
    const root = await adminOf(service);
    for (const bad of [
      { ...asked, reason: "" },
      { ...asked, userId: "" },
      { ...asked, coolDown: { seconds: 604_801n, nanos: 0 } },
    ]) {
      expect((await failure(service.admin.resetUserMfa(bad, root))).reason).toBe("INVALID_FIELD");
    }
    for (const bad of [
      { ...kind, reason: "" },
      { ...kind, factorType: FactorType.UNSPECIFIED },
      { ...kind, factorId: "1" },
    ]) {
      expect((await failure(service.admin.resetUserFactor(bad, root))).reason).toBe("INVALID_FIELD");
    }
    expect(await everyRow(service.store, [...PLACED, ...TRAIL])).toEqual(before);
  });

  test("users of other tenants are out of reach, and look like users that are not known", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const elsewhere = await adminOf(service, "mfa.reset", { tenant: "other" });
    const receipt = receiptOf(await service.admin.resetUserMfa({ userId: "ann", reason }, elsewhere));
    expect(counts(receipt)).toEqual({});
    expect(receipt.mfaEpoch).toBe(0n);
    expect((await service.mfa.getMfaStatus({}, await service.user("ann"))).status?.enrolled).toBe(true);
  });

  test("during a cool-down no factor is enrolled, be it begun before or after; a second reset never shortens it", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const { coolDownUntilTime } = await resetAll(service, "ann", { coolDown: hours(2) });
    const end = new Date(service.clock.now.getTime() + 2 * HOUR);
    expect(coolDownUntilTime).toMatchObject({ seconds: BigInt(end.getTime() / 1000) });
    const start = async () => service.mfa.startTotpEnrollment({}, await service.user("ann"));
    const refused = await failure(start());
    expect(refused).toMatchObject({ reason: "POLICY_FORBIDS", retryAfterMs: 2 * HOUR });
    expect(refused.metadata).toEqual({ policy: "administration.reset_cool_down" });
    expect(await resetAll(service, "ann", { coolDown: hours(1) })).toMatchObject({ coolDownUntilTime });
    service.pass(2 * HOUR - 1);
    expect(await failure(start())).toMatchObject({ reason: "POLICY_FORBIDS" });
    service.pass(1);
    await start();
  });

  test("a tenant's cool-down holds for each reset, and a request may only lengthen it", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { administration: { resetCoolDown: hours(24) } });
    await enrollApp(service, "ann");
    const root = await adminOf(service);
    const kind = { userId: "ann", factorType: FactorType.TOTP, reason };
    const { coolDownUntilTime } = receiptOf(await service.admin.resetUserFactor(kind, root));
    const day = BigInt((service.clock.now.getTime() + 24 * HOUR) / 1000);
    expect(coolDownUntilTime).toMatchObject({ seconds: day });
    expect(await resetAll(service, "ann", { coolDown: hours(1) })).toMatchObject({ coolDownUntilTime });
    const longer = await resetAll(service, "ann", { coolDown: hours(48) });
    expect(longer.coolDownUntilTime).toMatchObject({ seconds: day + 24n * 3600n });
  });

  test("an enrollment that was begun before the reset does not end well", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    await resetAll(service);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    expect(await failure(service.mfa.finishTotpEnrollment({ code }, token))).toMatchObject({
      reason: "ENROLLMENT_EXPIRED",
    });
  });

  test("a challenge that was proven before the reset is not redeemed after it", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    await resetAll(service);
    expect(await failure(redeem(service, backend, { challengeId }))).toMatchObject({ reason: "CHALLENGE_EXPIRED" });
  });

  test("of log-ins beside a reset none succeeds once it is acknowledged, and failures in a row stay counted", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const code = await app.code();
    let done = false;
    const attempts = Array.from({ length: 20 }, async () => {
      const late = done;
      const outcome = await service.mfa.verifyTotpCode({ code }, app.token).catch((error: unknown) => error);
      return late && !(outcome instanceof CallFailed);
    });
    const [, ...late] = await Promise.all([
      resetAll(service).then((receipt) => {
        done = true;
        return receipt;
      }),
      ...attempts,
    ]);
    expect(late.filter(Boolean)).toEqual([]);
    const after = Array.from({ length: 10 }, async () => service.mfa.verifyTotpCode({ code }, app.token));
    expect(await tally(after)).toEqual({ NOT_ENROLLED: 10 });
  });

  test("of many resets at once one removes, and the user is told once", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const receipts = await Promise.all(Array.from({ length: 10 }, () => resetAll(service)));
    expect(receipts.filter((receipt) => counts(receipt).totp_devices === 1).length).toBe(1);
    expect(new Set(receipts.map(({ mfaEpoch }) => mfaEpoch)).size).toBe(1);
    const resets = (await eventsOf(service.store)).filter((event) => event === "USER_RESET UNSPECIFIED");
    expect(resets.length).toBe(1);
  });

  test("what users delete themselves says how many trusted devices it untrusted", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    await enrollApp(service, "ann");
    await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
    await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
    const deletion = { factorType: FactorType.TOTP, confirmLastFactor: true };
    const first = await service.mfa.deleteFactor(deletion, await service.user("ann", "aal2"));
    expect(first).toMatchObject({ deletedCount: 1, revokedTrustedDeviceCount: 2, status: { trustedDeviceCount: 0 } });
    const again = await service.mfa.deleteFactor(deletion, await service.user("ann", "aal2"));
    expect(again).toMatchObject({ deletedCount: 0, revokedTrustedDeviceCount: 0 });
  });
});
