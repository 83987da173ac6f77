import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { TotpAlgorithm, TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import { appOf, enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const aal2 = (service: ServiceUnderTest, user = "ann") => service.user(user, "aal2");
const states = async (service: ServiceUnderTest, user = "ann") =>
  Object.fromEntries(
    (await service.mfa.listTotpDevices({}, await aal2(service, user))).devices.map((d) => [d.displayName, d.state]),
  );

describe.each(engines)("TOTP devices on $name", (engine) => {
  test("a device is renamed by who has seen its current version", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const rename = async (displayName: string | undefined, version: bigint, user = "ann") =>
      service.mfa.updateTotpDevice(
        { deviceId, version, ...(displayName && { displayName }) },
        await aal2(service, user),
      );
    const { device } = await rename("phone", 1n);
    expect(device).toMatchObject({ displayName: "phone", version: 2n, state: TotpDeviceState.ACTIVE });
    expect(await failure(rename("tablet", 1n))).toMatchObject({
      code: status.ABORTED,
      reason: "STALE_VERSION",
      metadata: { version: "2" },
    });
    for (const same of [undefined, "phone"]) {
      expect(await failure(rename(same, 2n))).toMatchObject({ reason: "EMPTY_UPDATE" });
    }
    expect(await failure(rename("mine", 2n, "eve"))).toMatchObject({ code: status.NOT_FOUND, reason: "NOT_FOUND" });
    expect(await states(service)).toEqual({ phone: TotpDeviceState.ACTIVE });
  });

  test("a disabled device proves nothing, and enabled again it has forgotten no spent code", async () => {
    const service = await serviceForTest(engine);
    const phone = await enrollApp(service, "ann", "aal1", "phone");
    await enrollApp(service, "ann", "aal2", "tablet");
    const spent = await phone.code();
    await service.mfa.verifyTotpCode({ code: spent }, phone.token);
    const { deviceId } = phone;
    await service.mfa.disableTotpDevice({ deviceId }, await aal2(service));
    service.pass(30_000);
    const fresh = await phone.code();
    const refused = await failure(service.mfa.verifyTotpCode({ code: fresh }, phone.token));
    expect(refused).toMatchObject({ reason: "CODE_REJECTED" });
    const { device } = await service.mfa.enableTotpDevice({ deviceId }, await aal2(service));
    expect(device?.state).toBe(TotpDeviceState.ACTIVE);
    expect(await failure(service.mfa.verifyTotpCode({ code: spent }, phone.token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
    await service.mfa.verifyTotpCode({ code: fresh }, phone.token);
    // Repeats answer what is so already.
    await service.mfa.enableTotpDevice({ deviceId }, await aal2(service));
  });

  test("a revoked device stays in the list without its secret, and cannot come back", async () => {
    const service = await serviceForTest(engine);
    const phone = await enrollApp(service, "ann", "aal1", "phone");
    await enrollApp(service, "ann", "aal2", "tablet");
    const { deviceId } = phone;
    await service.mfa.revokeTotpDevice({ deviceId }, await aal2(service));
    expect(await states(service)).toEqual({ phone: TotpDeviceState.REVOKED, tablet: TotpDeviceState.ACTIVE });
    for (const turn of [service.mfa.enableTotpDevice, service.mfa.disableTotpDevice]) {
      expect(await failure(turn({ deviceId }, await aal2(service)))).toMatchObject({ reason: "WRONG_STATE" });
    }
    expect(await failure(service.mfa.verifyTotpCode({ code: await phone.code() }, phone.token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
    const { devices } = await service.internal.listUserTotpDevices(
      { userId: "ann" },
      await service.backend("mfa.status.read"),
    );
    expect(devices).toHaveLength(2);
    await service.mfa.deleteTotpDevice({ deviceId }, await aal2(service));
    expect(await states(service)).toEqual({ tablet: TotpDeviceState.ACTIVE });
    expect(await failure(service.mfa.deleteTotpDevice({ deviceId }, await aal2(service)))).toMatchObject({
      reason: "NOT_FOUND",
    });
  });

  test.each(["disableTotpDevice", "revokeTotpDevice", "deleteTotpDevice", "disableTotp"] as const)(
    "%s leaves a user without a factor only when they say so",
    async (rpc) => {
      const service = await serviceForTest(engine);
      const { deviceId, code, token } = await enrollApp(service, "ann");
      const call = async (confirmLastFactor: boolean) => {
        const named = rpc === "disableTotp" ? { confirmLastFactor } : { deviceId, confirmLastFactor };
        return service.mfa[rpc](named as never, await aal2(service));
      };
      expect(await failure(call(false))).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "LAST_FACTOR" });
      await service.mfa.verifyTotpCode({ code: await code() }, token);
      await call(true);
      expect((await service.mfa.getMfaStatus({}, token)).status?.enrolled).toBe(false);
    },
  );

  test("of two last devices that are deleted at once, one stays", async () => {
    const service = await serviceForTest(engine);
    const devices = [await enrollApp(service, "ann"), await enrollApp(service, "ann", "aal2")];
    const token = await aal2(service);
    const counts = await tally(devices.map(({ deviceId }) => service.mfa.deleteTotpDevice({ deviceId }, token)));
    expect(counts).toEqual({ OK: 1, LAST_FACTOR: 1 });
  });

  test("a replaced device works until the new one has proved itself, and then no more", async () => {
    const service = await serviceForTest(engine);
    const old = await enrollApp(service, "ann", "aal1", "phone");
    const token = await aal2(service);
    const { device, provisioning } = await service.mfa.replaceTotpDevice({ deviceId: old.deviceId }, token);
    expect(device).toMatchObject({ displayName: "phone", state: TotpDeviceState.PENDING });
    await service.mfa.verifyTotpCode({ code: await old.code() }, token);
    service.pass(30_000);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    expect(await failure(service.mfa.verifyTotpCode({ code }, token))).toMatchObject({ reason: "CODE_REJECTED" });
    const finished = await service.mfa.finishTotpEnrollment({ code }, token);
    expect(finished).toMatchObject({ replacedDeviceId: old.deviceId, device: { state: TotpDeviceState.ACTIVE } });
    expect(await failure(service.mfa.verifyTotpCode({ code: await old.code() }, token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
  });

  test("a replacement needs no room, and what is not there cannot be replaced", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    for (let n = 2; n <= 5; n++) await enrollApp(service, "ann", "aal2");
    const token = await aal2(service);
    expect(await failure(service.mfa.startTotpEnrollment({}, token))).toMatchObject({ reason: "LIMIT_REACHED" });
    const { provisioning } = await service.mfa.replaceTotpDevice({ deviceId }, token);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, token);
    for (const [id, reason] of [
      [deviceId, "WRONG_STATE"],
      ["0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11", "NOT_FOUND"],
    ] as const) {
      expect(await failure(service.mfa.replaceTotpDevice({ deviceId: id }, token))).toMatchObject({ reason });
    }
    const enrolled = Object.values((await service.mfa.listTotpDevices({}, token)).devices);
    expect(enrolled.filter(({ state }) => state === TotpDeviceState.ACTIVE)).toHaveLength(5);
  });

  test("a user keeps fifty devices at most, those included that were revoked", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const kept =
      "tenant_id, user_id, display_name, algorithm, digits, period_seconds, sealed_secret, last_step, create_time, update_time";
    for (let n = 0; n < 49; n++) {
      await service.execute(
        `INSERT INTO totp_devices (device_id, state, ${kept})
         SELECT 'revoked ${n}', 'revoked', ${kept} FROM totp_devices WHERE state = 'active'`,
      );
    }
    expect(await failure(service.mfa.startTotpEnrollment({}, await aal2(service)))).toMatchObject({
      reason: "LIMIT_REACHED",
      metadata: { limit: "50" },
    });
  });

  test("a repeat changes nothing and is audited all the same", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const token = await aal2(service);
    const epoch = async () => (await service.mfa.getMfaStatus({}, token)).status?.mfaEpoch;
    const scope = "mfa.audit.read";
    const auditor = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    const entries = async () => {
      const list = await service.admin.listConfigAuditLogs({ filter: { userId: "ann" } }, auditor);
      return list.entries.map(({ rpc }) => rpc.split("/")[1]);
    };
    const first = { deviceId, confirmLastFactor: true };
    const again = { deviceId };
    const confirmed = { confirmLastFactor: true };
    const backend = await service.backend("mfa.factors.write");
    await service.mfa.disableTotpDevice(first, token);
    const [before, known] = [await epoch(), (await entries()).length];
    await service.mfa.disableTotpDevice(again, token);
    await service.mfa.disableTotp({}, token);
    await service.internal.disableUserTotp({ userId: "ann", reason: "stolen" }, backend);
    expect(await epoch()).toBe(before);
    expect((await entries()).slice(0, -known)).toEqual(["DisableUserTotp", "DisableTotp", "DisableTotpDevice"]);

    await service.mfa.deleteFactor({ factorType: FactorType.TOTP, ...confirmed }, token);
    const forgotten = await epoch();
    expect(forgotten).toBe((before ?? 0n) + 1n);
    await service.mfa.deleteFactor({ factorType: FactorType.TOTP, ...confirmed }, token);
    expect(await epoch()).toBe(forgotten);
    expect((await entries()).slice(0, 2)).toEqual(["DeleteFactor", "DeleteFactor"]);
  });

  test("to give up an enrollment, or to forget a revoked device, takes nothing from the user", async () => {
    const service = await serviceForTest(engine);
    const phone = await enrollApp(service, "ann", "aal1", "phone");
    await enrollApp(service, "ann", "aal2", "tablet");
    const token = await aal2(service);
    await service.mfa.revokeTotpDevice({ deviceId: phone.deviceId }, token);
    const { device } = await service.mfa.startTotpEnrollment({}, token);
    // How many: the place of an event in the stream is given to it later, in the background.
    const told = async () => (await everyRow(service.store)).events?.length;
    const epoch = async () => (await service.mfa.getMfaStatus({}, token)).status?.mfaEpoch;
    const before = [await epoch(), await told()];
    await service.mfa.deleteTotpDevice({ deviceId: device?.deviceId ?? "" }, token);
    await service.mfa.deleteTotpDevice({ deviceId: phone.deviceId }, token);
    expect([await epoch(), await told()]).toEqual(before);
    expect(await states(service)).toEqual({ tablet: TotpDeviceState.ACTIVE });
  });

  test("who replaces their first choice has chosen what takes its place", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann", "aal1", "tablet");
    const old = await enrollApp(service, "ann", "aal2", "phone");
    const token = await aal2(service);
    await service.mfa.setPrimaryFactor({ factorId: old.deviceId }, token);
    const { provisioning } = await service.mfa.replaceTotpDevice({ deviceId: old.deviceId }, token);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    const { device } = await service.mfa.finishTotpEnrollment({ code }, token);
    expect(device).toMatchObject({ displayName: "phone", primary: true });
  });

  test("a clock that drifts is followed, code by code, and a slow typist is not taken for one", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const logIn = async (offset: number) => {
      service.pass(2 * MINUTE);
      const token = await service.user("ann");
      return service.mfa.verifyTotpCode({ code: await app.code(offset) }, token).then(
        () => "OK",
        (error: { reason: string }) => error.reason,
      );
    };
    const ahead = [30_000, 30_000, 60_000, 60_000, 90_000].map((offset) => () => logIn(offset));
    for (const next of ahead) expect(await next()).toBe("OK");
    const { device } = await service.mfa.getTotpDevice({ deviceId: app.deviceId }, await aal2(service));
    expect(Number(device?.drift?.seconds)).toBe(60);
    expect(await logIn(-30_000)).toBe("CODE_REJECTED");

    const slow = await enrollApp(service, "bob");
    for (const offset of [-30_000, 0, -30_000, 0, 30_000, -30_000, 30_000]) {
      service.pass(2 * MINUTE);
      await service.mfa.verifyTotpCode({ code: await slow.code(offset) }, await service.user("bob"));
    }
  });

  test("the strict window takes the current code only", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const scope = "mfa.settings.write";
    const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    await service.admin.updateTenantSettings({ totp: { strictWindow: true } }, admin);
    service.pass(2 * MINUTE);
    for (const offset of [-30_000, 30_000]) {
      expect(await failure(service.mfa.verifyTotpCode({ code: await app.code(offset) }, app.token))).toMatchObject({
        reason: "CODE_REJECTED",
      });
    }
    await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
  });

  test("two codes in a row set a clock that is up to an hour off, either way, and no further", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { deviceId } = app;
    service.pass(5 * 60 * MINUTE);
    const resync = async (off: number) => {
      const pair = { deviceId, firstCode: await app.code(off - 30_000), secondCode: await app.code(off) };
      return service.mfa.resyncTotpDevice(pair, await service.user("ann"));
    };
    expect((await failure(resync(-61 * MINUTE))).reason).toBe("CODE_REJECTED");
    expect((await failure(resync(61 * MINUTE))).reason).toBe("CODE_REJECTED");
    expect((await resync(-60 * MINUTE)).device?.drift?.seconds).toBe(-3600n);
    service.pass(30_000);
    await service.mfa.verifyTotpCode({ code: await app.code(-60 * MINUTE) }, await service.user("ann"));
    // Its clock comes nearer: that is followed, and nothing further out is.
    for (let n = 0; n < 4; n++) {
      service.pass(5 * MINUTE);
      await service.mfa.verifyTotpCode({ code: await app.code(-59.5 * MINUTE) }, await service.user("ann"));
    }
    const { device } = await service.mfa.getTotpDevice({ deviceId }, await service.user("ann", "aal2"));
    expect(device?.drift?.seconds).toBe(-3570n);
    expect((await resync(59 * MINUTE)).device?.drift?.seconds).toBe(3540n);
  });

  test("a drift that somebody wrote into the database opens no code further than an hour off, and a resync ends it", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    service.pass(5 * MINUTE);
    await service.execute("UPDATE totp_devices SET drift_steps = 100000, drift_hint = 1");
    const verify = async (off: number) =>
      service.mfa.verifyTotpCode({ code: await app.code(off) }, await service.user("ann"));
    for (const off of [100_000 * 30_000, 62 * MINUTE, 0]) {
      expect((await failure(verify(off))).reason).toBe("CODE_REJECTED");
    }
    // What is learned from here on begins at the hour, so that nothing of what was written stays.
    await verify(60 * MINUTE);
    const { device } = await service.mfa.getTotpDevice({ deviceId: app.deviceId }, await service.user("ann", "aal2"));
    expect(device?.drift?.seconds).toBe(3600n);
    service.pass(2 * 60 * MINUTE);
    const pair = { deviceId: app.deviceId, firstCode: await app.code(-30_000), secondCode: await app.code() };
    await service.mfa.resyncTotpDevice(pair, await service.user("ann"));
    service.pass(5 * MINUTE);
    await verify(0);
  });

  test("two codes in a row set a clock that is minutes off, are spent by it, and say by how much", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    service.pass(10 * MINUTE);
    const off = -4 * MINUTE;
    const { deviceId } = app;
    const token = await service.user("ann");
    const lateCode = await app.code(off);
    expect(await failure(service.mfa.verifyTotpCode({ code: lateCode }, token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
    const firstCode = await app.code(off - 30_000);
    const apart = { deviceId, firstCode, secondCode: await app.code(off + 30_000) };
    expect(await failure(service.mfa.resyncTotpDevice(apart, token))).toMatchObject({ reason: "CODE_REJECTED" });
    const pair = { deviceId, firstCode, secondCode: lateCode };
    const { device, correction } = await service.mfa.resyncTotpDevice(pair, token);
    expect([Number(correction?.seconds), Number(device?.drift?.seconds)]).toEqual([-240, -240]);
    expect(await failure(service.mfa.resyncTotpDevice(pair, token))).toMatchObject({ reason: "CODE_REJECTED" });
    expect(await failure(service.mfa.verifyTotpCode({ code: lateCode }, token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
    service.pass(30_000);
    await service.mfa.verifyTotpCode({ code: await app.code(off) }, token);

    const far = { deviceId, firstCode: await app.code(-11 * MINUTE), secondCode: await app.code(-10.5 * MINUTE) };
    expect(await failure(service.mfa.resyncTotpDevice(far, token))).toMatchObject({ reason: "CODE_REJECTED" });
    const foreign = service.mfa.resyncTotpDevice(pair, await service.user("eve"));
    expect(await failure(foreign)).toMatchObject({ reason: "NOT_FOUND" });
  });

  test("of pairs that share a code one is accepted, and none that shares it with a log-in", async () => {
    const service = await serviceForTest(engine);
    const resync = service.mfa.resyncTotpDevice;
    const oneOf = async (uses: Promise<unknown>[]) => expect((await tally(uses)).OK).toBe(1);
    for (let n = 0; n < 5; n++) {
      const { deviceId, code, token } = await enrollApp(service, `user-${n}`);
      service.pass(5 * MINUTE);
      const [a, b, c] = [await code(-60_000), await code(-30_000), await code()];
      const [first, second] = [
        { deviceId, firstCode: a, secondCode: b },
        { deviceId, firstCode: b, secondCode: c },
      ];
      if (n % 2 === 0) await oneOf([resync(first, token), resync(second, token)]);
      else await oneOf([service.mfa.verifyTotpCode({ code: b }, token), resync(second, token)]);
    }
  });

  test("guesses at a pair count towards the lock", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const wrong = await wrongCode(app);
    const pair = { deviceId: app.deviceId, firstCode: wrong, secondCode: wrong };
    for (let n = 0; n < 5; n++) await failure(service.mfa.resyncTotpDevice(pair, app.token));
    expect(await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token))).toMatchObject({
      reason: "LOCKED",
    });
  });

  test.each([
    { asked: { algorithm: TotpAlgorithm.SHA256 }, metadata: { algorithm: "sha1", digits: "6", period: "30" } },
    { asked: { digits: 8 }, metadata: { algorithm: "sha1", digits: "6", period: "30" } },
    {
      asked: { algorithm: TotpAlgorithm.SHA512, digits: 8, period: { seconds: 60n, nanos: 0 } },
      metadata: { algorithm: "sha1", digits: "6", period: "30" },
    },
  ])("an app that ignores parameters is found out at enrollment, and can be taken as it is: $asked", async (trial) => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment(trial.asked, token);
    // It shows what SHA-1, six digits and thirty seconds make of the secret, whatever the URI said.
    const app = appOf(service, provisioning?.secret ?? "");
    const code = await app();
    for (let n = 0; n < 6; n++) {
      const refused = await failure(service.mfa.finishTotpEnrollment({ code }, token));
      expect(refused).toMatchObject({ reason: "APP_PARAMETERS_DIFFER", metadata: trial.metadata });
    }
    const { device } = await service.mfa.finishTotpEnrollment({ code, acceptAppParameters: true }, token);
    expect(device).toMatchObject({ algorithm: TotpAlgorithm.SHA1, digits: 6, period: { seconds: 30n } });
    expect(await failure(service.mfa.verifyTotpCode({ code }, token))).toMatchObject({ reason: "CODE_REJECTED" });
    service.pass(30_000);
    await service.mfa.verifyTotpCode({ code: await app() }, token);
  });

  test("to learn what the app does takes back no failure and no lock", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({ algorithm: TotpAlgorithm.SHA256 }, token);
    const app = appOf(service, provisioning?.secret ?? "");
    const [wrong, code] = [await wrongCode({ code: app }), await app()];
    const answers: string[] = [];
    // The fifth is judged under a lock of its own making, which its refusal lifts; the sixth locks for good.
    for (const tried of [wrong, wrong, code, wrong, wrong, code, wrong, code]) {
      answers.push((await failure(service.mfa.finishTotpEnrollment({ code: tried }, token))).reason);
    }
    const [no, differs] = ["CODE_REJECTED", "APP_PARAMETERS_DIFFER"];
    expect(answers).toEqual([no, no, differs, no, no, differs, no, "LOCKED"]);
    service.pass(MINUTE);
    // The second lock, as after five failures in a row: five minutes, not one.
    const again = await wrongCode({ code: app });
    for (let n = 0; n < 5; n++) await failure(service.mfa.finishTotpEnrollment({ code: again }, token));
    expect(await failure(service.mfa.finishTotpEnrollment({ code: again }, token))).toMatchObject({
      reason: "LOCKED",
      retryAfterMs: 5 * MINUTE,
    });
  });

  test("who accepts what the app does still has to show a right code", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({ algorithm: TotpAlgorithm.SHA256 }, token);
    const app = appOf(service, provisioning?.secret ?? "");
    const code = await wrongCode({ code: app });
    const refused = await failure(service.mfa.finishTotpEnrollment({ code, acceptAppParameters: true }, token));
    expect(refused).toMatchObject({ reason: "CODE_REJECTED" });
  });

  test("new devices are as the tenant has them, and as many", async () => {
    const service = await serviceForTest(engine);
    const scope = "mfa.settings.write";
    const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    const totp = { algorithm: TotpAlgorithm.SHA512, digits: 8, maxDevices: 1 };
    await service.admin.updateTenantSettings({ totp }, admin);
    const token = await service.user("ann");
    const { device, provisioning } = await service.mfa.startTotpEnrollment({}, token);
    expect(device).toMatchObject({ algorithm: TotpAlgorithm.SHA512, digits: 8 });
    const code = await showCode(provisioning?.secret ?? "", service.clock.now, device);
    await service.mfa.finishTotpEnrollment({ code }, token);
    expect(await failure(service.mfa.startTotpEnrollment({}, await aal2(service)))).toMatchObject({
      reason: "LIMIT_REACHED",
      metadata: { limit: "1" },
    });
  });

  test("an enrollment that began under a higher cap is not completed beyond the lower one, a replacement is", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const token = await aal2(service);
    const finish = async (secret = "") =>
      service.mfa.finishTotpEnrollment({ code: await showCode(secret, service.clock.now) }, token);
    const added = await service.mfa.startTotpEnrollment({}, token);
    const scope = "mfa.settings.write";
    const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    await service.admin.updateTenantSettings({ totp: { maxDevices: 1 } }, admin);
    service.pass(1000);
    expect(await failure(finish(added.provisioning?.secret))).toMatchObject({
      reason: "LIMIT_REACHED",
      metadata: { limit: "1" },
    });
    const replacing = await service.mfa.replaceTotpDevice({ deviceId }, token);
    expect(await finish(replacing.provisioning?.secret)).toMatchObject({ replacedDeviceId: deviceId });
  });

  test("administrators and backends see a user's devices, and of an unknown user none", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" });
    const backend = await service.backend("mfa.status.read");
    expect(await service.admin.getUserTotp({ userId: "ann" }, admin)).toMatchObject({
      enabled: true,
      devices: [{ deviceId }],
    });
    expect(await service.internal.listUserTotpDevices({ userId: "ann" }, backend)).toMatchObject({
      devices: [{ deviceId }],
    });
    expect(await service.admin.getUserTotp({ userId: "nobody" }, admin)).toMatchObject({ enabled: false, devices: [] });
    expect((await service.internal.listUserTotpDevices({ userId: "nobody" }, backend)).devices).toEqual([]);
  });

  test("a backend disables a user's devices with a reason, and not the last ones unawares", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const disable = async (userId: string, confirmLastFactor: boolean) =>
      service.internal.disableUserTotp(
        { userId, confirmLastFactor, reason: "phone stolen", actor: "desk 7" },
        await service.backend("mfa.factors.write"),
      );
    expect(await failure(disable("ann", false))).toMatchObject({ reason: "LAST_FACTOR" });
    expect((await disable("ann", true)).disabledCount).toBe(1);
    // They are kept.
    expect(Object.values(await states(service))).toEqual([TotpDeviceState.DISABLED]);
    expect((await disable("ann", true)).disabledCount).toBe(0);
    expect((await disable("nobody", false)).disabledCount).toBe(0);
  });

  test("of 50 concurrent enrollments against the cap none gets past it", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    for (let n = 0; n < 4; n++) await enrollApp(service, "ann", n === 0 ? "aal1" : "aal2");
    const token = await aal2(service);
    const enroll = async () => {
      const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
      const code = await showCode(provisioning?.secret ?? "", service.clock.now);
      return service.mfa.finishTotpEnrollment({ code }, token);
    };
    await tally(Array.from({ length: 50 }, enroll));
    const { devices } = await service.mfa.listTotpDevices({}, token);
    expect(devices.filter(({ state }) => state === TotpDeviceState.ACTIVE).length).toBeLessThanOrEqual(5);
  });

  test("a replacement beside log-ins: never two devices that work, and never none", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    const old = await enrollApp(service, "ann");
    const token = await aal2(service);
    const { provisioning } = await service.mfa.replaceTotpDevice({ deviceId: old.deviceId }, token);
    service.pass(30_000);
    const fresh = appOf(service, provisioning?.secret ?? "");
    const [oldCode, code] = [await old.code(), await fresh()];
    const [logIns, finishes] = await Promise.all([
      tally(Array.from({ length: 20 }, () => service.mfa.verifyTotpCode({ code: oldCode }, token))),
      tally(Array.from({ length: 3 }, () => service.mfa.finishTotpEnrollment({ code }, token))),
    ]);
    expect(logIns.OK ?? 0).toBeLessThanOrEqual(1);
    expect(finishes.OK ?? 0).toBeLessThanOrEqual(1);
    const { devices } = await service.mfa.listTotpDevices({}, token);
    expect(devices.filter(({ state }) => state === TotpDeviceState.ACTIVE)).toHaveLength(1);
  });
});
