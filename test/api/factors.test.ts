import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { FactorState, FactorType, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { enrollEmail, enrollPhone, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey, logIn } from "../support/actors/passkey.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const aal2 = (service: ServiceUnderTest, user = "ann") => service.user(user, "aal2");
const admin = (service: ServiceUnderTest) =>
  service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" });

describe.each(engines)("factors of any kind on $name", (engine) => {
  test("status tells a user, an administrator and a backend the same", async () => {
    const service = await serviceForTest(engine);
    const { code, token } = await enrollApp(service, "ann");
    await service.mfa.verifyTotpCode({ code: await code() }, token);
    await service.mfa.startTotpEnrollment({}, await aal2(service));
    const { status: own } = await service.mfa.getMfaStatus({}, token);
    expect(own).toMatchObject({
      enrolled: true,
      factors: [{ type: FactorType.TOTP, enabled: true, activeCount: 1, pending: true, primary: true }],
      primaryFactorType: FactorType.TOTP,
      lock: { codesLocked: false, webauthnLocked: false, needsClearing: false },
      mfaEpoch: 1n,
    });
    expect(own?.enrollableTypes).toContain(FactorType.TOTP);
    expect(own?.recommendations).toContain(Recommendation.ADD_SECOND_FACTOR);
    const backend = await service.backend("mfa.status.read");
    expect((await service.internal.getUserMfaStatus({ userId: "ann" }, backend)).status).toEqual(own);
    expect((await service.admin.listUserFactors({ userId: "ann" }, await admin(service))).status).toEqual(own);
  });

  test("administrators see a user's factors masked, and of a user that is not known none", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const seen = await service.admin.listUserFactors({ userId: "ann" }, await admin(service));
    expect(seen).toMatchObject({
      factors: [{ type: FactorType.SMS, state: FactorState.ACTIVE }],
      status: { enrolled: true },
    });
    const shown = JSON.stringify(seen, (_, value) => (typeof value === "bigint" ? `${value}` : value));
    expect(shown).not.toContain(phone().slice(3));
    expect(shown).toContain(phone().slice(-2));
    const none = await service.admin.listUserFactors({ userId: "nobody" }, await admin(service));
    expect(none).toMatchObject({ factors: [], status: { enrolled: false } });
  });

  test("an unknown user's status has the same shape as that of one who has nothing", async () => {
    const service = await serviceForTest(engine);
    const backend = await service.backend("mfa.status.read");
    const unknown = await service.internal.getUserMfaStatus({ userId: "nobody" }, backend);
    const { deviceId } = await enrollApp(service, "ann");
    await service.mfa.deleteTotpDevice({ deviceId, confirmLastFactor: true }, await aal2(service));
    const known = await service.internal.getUserMfaStatus({ userId: "ann" }, backend);
    expect(known.status).toEqual({ ...unknown.status, mfaEpoch: 2n });
    expect(unknown.status).toMatchObject({
      enrolled: false,
      factors: [],
      primaryFactorType: FactorType.UNSPECIFIED,
      recommendations: [Recommendation.ADD_FIRST_FACTOR],
    });
  });

  test("status shows one kind when it is asked for one", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    const { status: none } = await service.mfa.getMfaStatus({ factorType: FactorType.SMS }, token);
    expect(none).toMatchObject({ enrolled: true, factors: [] });
    const { status: one } = await service.mfa.getMfaStatus({ factorType: FactorType.TOTP }, token);
    expect(one?.factors).toHaveLength(1);
  });

  test("a lock shows in the status, and when it ends", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const code = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code }, app.token));
    const { status: locked } = await service.mfa.getMfaStatus({}, app.token);
    const end = service.clock.now.getTime() + 60_000;
    expect(locked?.lock).toMatchObject({ codesLocked: true, needsClearing: false, webauthnLocked: false });
    expect(Number(locked?.lock?.codesUnlockTime?.seconds) * 1000).toBe(end);
    service.pass(60_001);
    expect((await service.mfa.getMfaStatus({}, app.token)).status?.lock).toMatchObject({ codesLocked: false });
  });

  test("lists come in pages, of one kind or state where asked", async () => {
    const service = await serviceForTest(engine);
    const first = await enrollApp(service, "ann", "aal1", "one");
    await enrollApp(service, "ann", "aal2", "two");
    await enrollApp(service, "ann", "aal2", "three");
    await service.mfa.disableTotpDevice({ deviceId: first.deviceId }, await aal2(service));
    const token = await aal2(service);
    const names: string[] = [];
    let pageToken = "";
    do {
      const page = await service.mfa.listFactors({ pageSize: 2, pageToken }, token);
      names.push(...page.factors.map(({ displayName }) => displayName));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(names).toEqual(["one", "two", "three"]);
    const disabled = await service.mfa.listFactors({ state: FactorState.DISABLED }, token);
    expect(disabled.factors.map(({ displayName }) => displayName)).toEqual(["one"]);
    expect((await service.mfa.listFactors({ factorType: FactorType.PUSH }, token)).factors).toEqual([]);
    for (const [wanted, found] of [
      [{ state: FactorState.DISABLED }, ["one"]],
      [{ factorType: FactorType.TOTP }, ["one", "two", "three"]],
      [{ factorType: FactorType.PUSH }, []],
    ] as const) {
      const seen = await service.admin.listUserFactors({ userId: "ann", ...wanted }, await admin(service));
      expect(seen.factors.map(({ displayName }) => displayName)).toEqual(found);
    }
    const { nextPageToken } = await service.mfa.listFactors({ pageSize: 1 }, token);
    const filtered = { pageSize: 1, pageToken: nextPageToken, state: FactorState.ACTIVE };
    expect(await failure(service.mfa.listFactors(filtered, token))).toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
  });

  test("status and lists say when a factor last proved something, which are restricted, and where codes go, masked", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann", "ann@example.com");
    const app = await enrollApp(service, "ann");
    await enrollPhone(service, "ann");
    const seen = async () => {
      const token = await aal2(service);
      const { factors } = await service.mfa.listFactors({}, token);
      const { status } = await service.mfa.getMfaStatus({}, token);
      const one = (type: FactorType) => ({
        factor: factors.find((factor) => factor.type === type),
        summary: status?.factors.find((summary) => summary.type === type),
      });
      return { email: one(FactorType.EMAIL), app: one(FactorType.TOTP), phone: one(FactorType.SMS) };
    };
    const before = await seen();
    expect(before.email.factor).toMatchObject({ maskedTarget: "a***@example.com", restricted: false });
    expect(before.phone.factor).toMatchObject({ maskedTarget: "+49 *** ** 78", restricted: true });
    expect(before.app.factor).toMatchObject({ factorId: app.deviceId, maskedTarget: "", restricted: false });
    for (const { summary } of Object.values(before)) expect(summary?.enabled).toBe(true);
    // What was begun has proved nothing yet, and is not enabled.
    const bob = await service.user("bob");
    await service.mfa.startTotpEnrollment({}, bob);
    const [begun] = (await service.mfa.listFactors({}, bob)).factors;
    const [kind] = (await service.mfa.getMfaStatus({}, bob)).status?.factors ?? [];
    expect([begun?.lastUseTime, kind?.lastUseTime, kind?.enabled]).toEqual([undefined, undefined, false]);
    await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
    const now = { seconds: BigInt(service.clock.now.getTime() / 1000) };
    const after = (await seen()).app;
    expect([after.factor?.lastUseTime, after.summary?.lastUseTime]).toMatchObject([now, now]);
    await service.mfa.disableTotpDevice({ deviceId: app.deviceId }, await aal2(service));
    expect((await seen()).app.summary?.enabled ?? false).toBe(false);
  });

  test("whose only factor is a passkey bound to its device is advised to add another", async () => {
    const service = await serviceForTest(engine);
    const advised = async () => (await service.mfa.getMfaStatus({}, await aal2(service))).status?.recommendations ?? [];
    await enrollPasskey(service, "ann");
    expect(await advised()).toContain(Recommendation.ADD_SECOND_PASSKEY);
    expect(await advised()).not.toContain(Recommendation.ADD_SECOND_FACTOR);
    await enrollPasskey(service, "ann");
    expect(await advised()).not.toContain(Recommendation.ADD_SECOND_PASSKEY);
  });

  test("a lock of passkeys, and one that only an administrator ends, show in the status", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { passkey } = await enrollPasskey(service, "ann");
    const wrong = { signature: () => Buffer.alloc(70, 1) };
    for (let n = 0; n < 5; n++) await failure(logIn(service, "ann", passkey, wrong));
    const lock = async () => (await service.mfa.getMfaStatus({}, app.token)).status?.lock;
    expect(await lock()).toMatchObject({ webauthnLocked: true, codesLocked: false, needsClearing: false });
    const code = await wrongCode(app);
    await failure(service.mfa.verifyTotpCode({ code }, app.token));
    await service.execute("UPDATE attempts SET consecutive_failures = 99 WHERE counter = 'typed-code'");
    await failure(service.mfa.verifyTotpCode({ code }, app.token));
    expect(await lock()).toMatchObject({ codesLocked: true, needsClearing: true });
    expect((await lock())?.codesUnlockTime).toBeUndefined();
  });

  test("the first choice is the user's, and passes on when that factor goes", async () => {
    const service = await serviceForTest(engine);
    const one = await enrollApp(service, "ann", "aal1", "one");
    const two = await enrollApp(service, "ann", "aal2", "two");
    const primaries = async () =>
      (await service.mfa.listFactors({}, await aal2(service))).factors
        .filter(({ primary }) => primary)
        .map(({ displayName }) => displayName);
    expect(await primaries()).toEqual(["one"]);
    const { factor } = await service.mfa.setPrimaryFactor({ factorId: two.deviceId }, await aal2(service));
    expect(factor).toMatchObject({ factorId: two.deviceId, primary: true });
    expect(await primaries()).toEqual(["two"]);
    const { device } = await service.mfa.getTotpDevice({ deviceId: two.deviceId }, await aal2(service));
    expect(device?.primary).toBe(true);
    await service.mfa.disableTotpDevice({ deviceId: two.deviceId }, await aal2(service));
    expect(await primaries()).toEqual(["one"]);

    const choose = async (request: { factorId: string; factorType?: FactorType }, user = "ann") =>
      failure(service.mfa.setPrimaryFactor(request, await aal2(service, user)));
    expect(await choose({ factorId: two.deviceId })).toMatchObject({ reason: "WRONG_STATE" });
    expect(await choose({ factorId: one.deviceId, factorType: FactorType.SMS })).toMatchObject({ reason: "NOT_FOUND" });
    expect(await choose({ factorId: one.deviceId }, "eve")).toMatchObject({ reason: "NOT_FOUND" });
  });

  test("of 200 choices at once one holds", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    const devices = [await enrollApp(service, "ann")];
    for (let n = 0; n < 3; n++) devices.push(await enrollApp(service, "ann", "aal2"));
    const token = await aal2(service);
    const choices = Array.from({ length: 200 }, (_, n) => devices[n % devices.length]?.deviceId ?? "");
    await tally(choices.map((factorId) => service.mfa.setPrimaryFactor({ factorId }, token)));
    const { factors } = await service.mfa.listFactors({}, token);
    expect(factors.filter(({ primary }) => primary)).toHaveLength(1);
  });

  test("deleting a kind forgets what is pending of it too, and ends the trust in clients", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    await enrollApp(service, "ann");
    const token = await aal2(service);
    await service.mfa.trustDevice({}, token);
    await service.mfa.startTotpEnrollment({}, token);
    const forget = { factorType: FactorType.TOTP, confirmLastFactor: true };
    const { revokedTrustedDeviceCount } = await service.mfa.deleteFactor(forget, token);
    expect(revokedTrustedDeviceCount).toBe(1);
    expect((await service.mfa.listTotpDevices({}, token)).devices).toEqual([]);
    expect((await service.mfa.listTrustedDevices({}, token)).devices).toEqual([]);
  });

  test("deleting a kind forgets all of it, and the last of all only when the user says so", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    await enrollApp(service, "ann", "aal2");
    const forget = async (confirmLastFactor: boolean) =>
      service.mfa.deleteFactor({ factorType: FactorType.TOTP, confirmLastFactor }, await aal2(service));
    expect(await failure(forget(false))).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "LAST_FACTOR" });
    expect((await service.mfa.listFactors({}, await aal2(service))).factors).toHaveLength(2);
    expect(await forget(true)).toMatchObject({ deletedCount: 2, status: { enrolled: false } });
    expect(await forget(false)).toMatchObject({ deletedCount: 0 });
    expect((await service.mfa.listFactors({}, token)).factors).toEqual([]);
  });
});
