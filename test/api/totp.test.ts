import { status } from "@grpc/grpc-js";
import jsqr from "jsqr";
import { PNG } from "pngjs";
import { describe, expect, test } from "vitest";
import { TotpAlgorithm, TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import { totpRepository } from "../../src/factors/totp/totp.repository.ts";
import { enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;

const COLUMNS =
  "tenant_id, user_id, state, display_name, algorithm, digits, period_seconds, sealed_secret, last_step, create_time, update_time";

/** A further row of ann's, as another start would have left it. */
const copyDevice = (service: ServiceUnderTest, deviceId: string) =>
  service.execute(
    `INSERT INTO totp_devices (device_id, ${COLUMNS})
     SELECT '${deviceId}', ${COLUMNS} FROM totp_devices WHERE user_id = 'ann' LIMIT 1`,
  );

describe.each(engines)("TOTP on $name", (engine) => {
  test("a backend logs a user in with a code of an authenticator app", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await service.backend("mfa.verify");
    const proof = await service.internal.verifyUserTotpCode({ userId: "ann", code: await app.code() }, backend);
    expect(proof.deviceId).toBe(app.deviceId);
    expect(Number(proof.verifyTime?.seconds) * 1000).toBe(service.clock.now.getTime());
  });

  test("enrollment shows the secret as text, as key URI and as QR code, and only once", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning, device } = await service.mfa.startTotpEnrollment({ accountName: "ann@example.com" }, token);
    const image = PNG.sync.read(Buffer.from(provisioning?.qrPng ?? []));
    const seen = jsqr.default(new Uint8ClampedArray(image.data), image.width, image.height)?.data;
    expect(seen).toBe(provisioning?.otpauthUri);
    const uri = new URL(provisioning?.otpauthUri ?? "");
    expect(uri.searchParams.get("secret")).toBe(provisioning?.secret);
    expect(decodeURIComponent(uri.pathname)).toBe("/MFA Service:ann@example.com");
    expect(provisioning?.qrSvg).toMatch(/^<svg /);
    expect(provisioning?.secret).toMatch(/^[A-Z2-7]{32}$/);

    const listed = await service.mfa.listTotpDevices({}, token);
    const read = await service.mfa.getTotpDevice({ deviceId: device?.deviceId ?? "" }, token);
    expect(JSON.stringify([listed, read], (_, v) => (typeof v === "bigint" ? String(v) : v))).not.toContain(
      provisioning?.secret,
    );
    const again = await service.mfa.startTotpEnrollment({}, token);
    expect(again.provisioning?.secret).not.toBe(provisioning?.secret);
  });

  test.each([
    { algorithm: TotpAlgorithm.SHA1, digits: 6, seconds: 30n },
    { algorithm: TotpAlgorithm.SHA256, digits: 8, seconds: 60n },
    { algorithm: TotpAlgorithm.SHA512, digits: 6, seconds: 15n },
  ])("codes of an independent generator are accepted: %o", async ({ algorithm, digits, seconds }) => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const request = { algorithm, digits, period: { seconds, nanos: 0 } };
    const { provisioning, device } = await service.mfa.startTotpEnrollment(request, token);
    const show = () => showCode(provisioning?.secret ?? "", service.clock.now, device);
    const { device: proven } = await service.mfa.finishTotpEnrollment({ code: await show() }, token);
    expect(proven).toMatchObject({ state: TotpDeviceState.ACTIVE, algorithm, digits, period: { seconds } });
    service.pass(Number(seconds) * 1000);
    await expect(service.mfa.verifyTotpCode({ code: await show() }, token)).resolves.toBeDefined();
  });

  test("a code works once, whichever RPC spends it, and never after a later one", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await service.backend("mfa.verify");
    const [older, code] = [await app.code(-30_000), await app.code()];
    await service.mfa.verifyTotpCode({ code }, app.token);
    for (const spent of [code, older]) {
      const byUser = await failure(service.mfa.verifyTotpCode({ code: spent }, app.token));
      expect(byUser).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED" });
      const byBackend = await failure(service.internal.verifyUserTotpCode({ userId: "ann", code: spent }, backend));
      expect(byBackend).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED" });
    }
  });

  test("the code that proves a device cannot log in afterwards", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, token);
    expect(await failure(service.mfa.verifyTotpCode({ code }, token))).toMatchObject({ reason: "CODE_REJECTED" });
  });

  test("a clock set back two minutes accepts nothing twice and breaks nothing", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    service.pass(4 * MINUTE);
    const spent = await app.code();
    await service.mfa.verifyTotpCode({ code: spent }, app.token);
    service.pass(-2 * MINUTE);
    for (const code of [spent, await app.code(), await app.code(30_000)]) {
      expect(await failure(service.mfa.verifyTotpCode({ code }, app.token))).toMatchObject({ reason: "CODE_REJECTED" });
    }
    service.pass(2 * MINUTE + 30_000);
    await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
  });

  test("codes one step early or late are accepted, two steps are not", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    service.pass(10 * MINUTE);
    for (const offset of [-60_000, 60_000]) {
      const call = service.mfa.verifyTotpCode({ code: await app.code(offset) }, app.token);
      expect(await failure(call)).toMatchObject({ reason: "CODE_REJECTED" });
    }
    for (const offset of [-30_000, 30_000]) {
      await service.mfa.verifyTotpCode({ code: await app.code(offset) }, app.token);
    }
  });

  test("five wrong codes lock; right and wrong answer alike until the lock ends", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const wrong = await wrongCode(app);
    for (let n = 0; n < 5; n++) {
      expect(await failure(service.mfa.verifyTotpCode({ code: wrong }, app.token))).toMatchObject({
        reason: "CODE_REJECTED",
      });
    }
    for (const code of [wrong, await app.code()]) {
      const locked = await failure(service.mfa.verifyTotpCode({ code }, app.token));
      expect(locked).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "LOCKED", retryAfterMs: MINUTE });
    }
    service.pass(MINUTE + 1);
    await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
  });

  test("a pending device verifies nothing, expires after ten minutes, and a new start replaces it", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const first = await service.mfa.startTotpEnrollment({}, token);
    const show = (secret: string | undefined) => showCode(secret ?? "", service.clock.now);
    const early = service.mfa.verifyTotpCode({ code: await show(first.provisioning?.secret) }, token);
    expect(await failure(early)).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "NOT_ENROLLED" });

    const second = await service.mfa.startTotpEnrollment({}, token);
    const old = { deviceId: first.device?.deviceId ?? "", code: await show(first.provisioning?.secret) };
    expect(await failure(service.mfa.finishTotpEnrollment(old, token))).toMatchObject({ reason: "ENROLLMENT_EXPIRED" });
    expect((await service.mfa.listTotpDevices({}, token)).devices).toHaveLength(1);

    service.pass(10 * MINUTE);
    const late = service.mfa.finishTotpEnrollment({ code: await show(second.provisioning?.secret) }, token);
    expect(await failure(late)).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "ENROLLMENT_EXPIRED" });
    expect((await service.mfa.listTotpDevices({}, token)).devices).toEqual([]);
  });

  test("guesses at a pending device count towards the lock", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    const code = (offset = 0) => showCode(provisioning?.secret ?? "", new Date(service.clock.now.getTime() + offset));
    const wrong = await wrongCode({ code });
    for (let n = 0; n < 5; n++) await failure(service.mfa.finishTotpEnrollment({ code: wrong }, token));
    const right = await failure(service.mfa.finishTotpEnrollment({ code: await code() }, token));
    expect(right).toMatchObject({ reason: "LOCKED" });
  });

  test("a user holds five devices at most", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    for (let n = 2; n <= 5; n++) {
      const token = await service.user("ann", "aal2");
      const { provisioning } = await service.mfa.startTotpEnrollment({ displayName: `app ${n}` }, token);
      const code = await showCode(provisioning?.secret ?? "", service.clock.now);
      await service.mfa.finishTotpEnrollment({ code }, token);
    }
    const refused = await failure(service.mfa.startTotpEnrollment({}, await service.user("ann", "aal2")));
    expect(refused).toMatchObject({
      code: status.FAILED_PRECONDITION,
      reason: "LIMIT_REACHED",
      metadata: { limit: "5" },
    });
  });

  test("a code of any of several devices is accepted, and the reply says which", async () => {
    const service = await serviceForTest(engine);
    const first = await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const { provisioning, device } = await service.mfa.startTotpEnrollment({}, token);
    await service.mfa.finishTotpEnrollment(
      { code: await showCode(provisioning?.secret ?? "", service.clock.now) },
      token,
    );
    service.pass(30_000);
    const second = await showCode(provisioning?.secret ?? "", service.clock.now);
    expect((await service.mfa.verifyTotpCode({ code: second }, token)).deviceId).toBe(device?.deviceId);
    expect((await service.mfa.verifyTotpCode({ code: await first.code() }, token)).deviceId).toBe(first.deviceId);
  });

  test("a device disabled between judging and spending is not spent", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    await service.execute("UPDATE totp_devices SET state = 'disabled'");
    const step = Math.floor(service.clock.now.getTime() / 30_000);
    const owner = { tenantId: "dev", userId: "ann" };
    const match = { deviceId: app.deviceId, step, driftSteps: 0, driftHint: 0 };
    const advance = () =>
      service.store.write((tx) => totpRepository(tx).advance({ ...owner, ...match }, service.clock.now));
    expect(await advance()).toBeUndefined();
    const refused = await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token));
    expect(refused.reason).toBe("NOT_ENROLLED");
    await service.execute("UPDATE totp_devices SET state = 'active'");
    expect(await advance()).toBeDefined();
  });

  test("a repeated request_id starts nothing twice, and a refused start leaves it free", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const requestId = "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11";
    const { device } = await service.mfa.startTotpEnrollment({ requestId }, token);
    const repeated = await failure(service.mfa.startTotpEnrollment({ requestId }, token));
    expect(repeated).toMatchObject({ code: status.ALREADY_EXISTS, reason: "REQUEST_REPEATED" });
    const { devices } = await service.mfa.listTotpDevices({}, token);
    expect(devices.map(({ deviceId }) => deviceId)).toEqual([device?.deviceId]);
    await service.mfa.startTotpEnrollment({ requestId }, await service.user("bob"));
    await service.execute("UPDATE totp_devices SET state = 'active', expire_time = NULL WHERE user_id = 'ann'");
    for (let n = 2; n <= 5; n++) await copyDevice(service, `another ${n}`);
    const other = { requestId: requestId.replace("c11", "c12") };
    const full = await failure(service.mfa.startTotpEnrollment(other, await service.user("ann", "aal2")));
    expect(full.reason).toBe("LIMIT_REACHED");
    await service.execute("DELETE FROM totp_devices WHERE user_id = 'ann'");
    await service.mfa.startTotpEnrollment(other, await service.user("ann"));
    service.pass(24 * 60 * MINUTE);
    await service.mfa.startTotpEnrollment({ requestId }, await service.user("ann"));
  });

  test("lists page in order, and a page token of somebody else or altered is refused", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    await service.mfa.startTotpEnrollment({ displayName: "second" }, token);
    const first = await service.mfa.listTotpDevices({ pageSize: 1 }, token);
    const pageToken = first.nextPageToken;
    const second = await service.mfa.listTotpDevices({ pageSize: 1, pageToken }, token);
    expect([...first.devices, ...second.devices].map((d) => d.displayName)).toEqual(["Authenticator app", "second"]);
    expect(second.nextPageToken).toBe("");

    const altered = `${pageToken.slice(0, -2)}AA`;
    const cases = [
      { pageToken, token: await service.user("bob", "aal2") },
      { pageToken, token: await service.mint({ audience: "mfa", subject: "ann", acr: "aal2", tenant: "other" }) },
      { pageToken: altered, token },
      { pageToken: "x", token },
    ];
    for (const { pageToken, token } of cases) {
      const refused = await failure(service.mfa.listTotpDevices({ pageToken }, token));
      expect(refused).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "INVALID_PAGE_TOKEN" });
    }
  });

  test("another user's device, another tenant's and none at all answer alike", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const none = "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11";
    const strangers = [
      { token: await service.user("bob", "aal2"), deviceId },
      { token: await service.mint({ audience: "mfa", subject: "ann", acr: "aal2", tenant: "other" }), deviceId },
      { token: await service.user("ann", "aal2"), deviceId: none },
    ];
    const answers = await Promise.all(
      strangers.map(({ token, deviceId }) => failure(service.mfa.getTotpDevice({ deviceId }, token))),
    );
    for (const answer of answers) expect(answer).toMatchObject({ code: status.NOT_FOUND, reason: "NOT_FOUND" });
    expect(new Set(answers.map(String)).size).toBe(1);
  });

  test("a user's subject is taken byte by byte: other case, spaces and tenants are other users", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await service.backend("mfa.verify");
    for (const userId of ["Ann", "ann ", "ａｎｎ", "nobody"]) {
      const refused = await failure(service.internal.verifyUserTotpCode({ userId, code: await app.code() }, backend));
      expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED" });
    }
    const nul = await failure(service.internal.verifyUserTotpCode({ userId: "ann\0", code: "123456" }, backend));
    expect(nul).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    const elsewhere = await service.mint({
      audience: "mfa-internal",
      subject: "shop",
      scope: "mfa.verify",
      tenant: "b",
    });
    const foreign = await failure(
      service.internal.verifyUserTotpCode({ userId: "ann", code: await app.code() }, elsewhere),
    );
    expect(foreign).toMatchObject({ reason: "CODE_REJECTED" });
    await service.internal.verifyUserTotpCode({ userId: "ann", code: await app.code() }, backend);
  });
});
