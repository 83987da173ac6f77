import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import { appOf, enrolApp } from "../support/authenticator.ts";
import { failure } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/service.ts";

const backend = (service: ServiceUnderTest) => service.backend("mfa.verify mfa.status.read mfa.factors.write");

describe.each(engines)("Autional's TOTP operations on $name", (engine) => {
  test("POST /mfa/totp/setup, /enable and /verify: set up, then verify to enable", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const request = { displayName: "Ann's phone", accountName: "ann@example.com" };
    const { device, provisioning } = await service.mfa.startTotpEnrollment(request, token);
    // Its secret, qr_code, qr_code_url and setup_url; its backup_codes come after the proof, never before.
    expect(provisioning).toMatchObject({
      secret: expect.stringMatching(/^[A-Z2-7]{32}$/),
      otpauthUri: expect.stringMatching(/^otpauth:\/\/totp\//),
      qrPng: expect.any(Uint8Array),
    });
    expect(device).toMatchObject({ displayName: "Ann's phone", state: TotpDeviceState.PENDING });
    const app = appOf(service, provisioning?.secret ?? "");
    const wrong = failure(service.mfa.finishTotpEnrollment({ code: "000000" }, token));
    // Reversed: a wrong code is an error with one reason, never valid: false.
    expect(await wrong).toMatchObject({ reason: "CODE_REJECTED" });
    const { device: enabled } = await service.mfa.finishTotpEnrollment({ code: await app() }, token);
    expect(enabled?.state).toBe(TotpDeviceState.ACTIVE);
    // Reversed: setting up again shows a new secret and replaces nothing until it is proven, and asks for the factor.
    expect(await failure(service.mfa.startTotpEnrollment(request, await service.user("ann")))).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
    });
  });

  test("POST /mfa/totp/validate: a code at log-in, for the caller alone", async () => {
    const service = await serviceForTest(engine);
    const app = await enrolApp(service, "ann");
    // Reversed: the user_id of its body is the token's, and the reply names the device.
    const { deviceId } = await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
    expect(deviceId).toBe(app.deviceId);
    expect(await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
  });

  test("/mfa/totp/devices: register, list, read, disable, enable, revoke", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrolApp(service, "ann", "aal1", "first");
    await enrolApp(service, "ann", "aal2", "second");
    const token = await service.user("ann", "aal2");
    // Reversed: whose devices is the token's, not a query's; each device is proven by a code of its own.
    const { devices } = await service.mfa.listTotpDevices({}, token);
    expect(devices.map(({ displayName }) => displayName)).toEqual(["first", "second"]);
    expect((await service.mfa.getTotpDevice({ deviceId }, token)).device?.lastUseTime).toBeDefined();
    const { device: off } = await service.mfa.disableTotpDevice({ deviceId }, token);
    expect(off?.state).toBe(TotpDeviceState.DISABLED);
    const { device: on } = await service.mfa.enableTotpDevice({ deviceId }, token);
    expect(on?.state).toBe(TotpDeviceState.ACTIVE);
    // Reversed: what it calls delete, with the device's own code as proof, ends the device by a fresh second factor.
    const { device: ended } = await service.mfa.revokeTotpDevice({ deviceId }, token);
    expect(ended?.state).toBe(TotpDeviceState.REVOKED);
    const foreign = service.mfa.getTotpDevice({ deviceId }, await service.user("eve"));
    expect(await failure(foreign)).toMatchObject({ reason: "NOT_FOUND" });
  });

  test("POST /mfa/totp/disable: everything off, after a fresh second factor", async () => {
    const service = await serviceForTest(engine);
    await enrolApp(service, "ann");
    const call = service.mfa.disableTotp({ confirmLastFactor: true }, await service.user("ann", "aal2"));
    expect((await call).disabledCount).toBe(1);
  });

  test("GET /mfa/methods, DELETE /mfa/methods/{method_type}, POST /mfa/credentials/{id}/primary", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrolApp(service, "ann");
    const token = await service.user("ann", "aal2");
    await service.mfa.setPrimaryFactor({ factorId: deviceId, factorType: FactorType.TOTP }, token);
    const { factors } = await service.mfa.listFactors({}, token);
    expect(factors).toMatchObject([{ type: FactorType.TOTP, primary: true, factorId: deviceId }]);
    const deletion = { factorType: FactorType.TOTP, confirmLastFactor: true };
    expect(await service.mfa.deleteFactor(deletion, token)).toMatchObject({ deletedCount: 1 });
  });

  test("GET /mfa/status/{user_id} and /internal/mfa/status/{user_id}", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrolApp(service, "ann");
    // Reversed: the user's own RPC names no user.
    expect((await service.mfa.getMfaStatus({}, token)).status).toMatchObject({ enrolled: true });
    const internal = await service.internal.getUserMfaStatus({ userId: "ann" }, await backend(service));
    expect(internal.status?.factors).toMatchObject([{ type: FactorType.TOTP, enabled: true }]);
  });

  test("/internal/mfa/totp: devices, validate, disable", async () => {
    const service = await serviceForTest(engine);
    const app = await enrolApp(service, "ann");
    const { devices } = await service.internal.listUserTotpDevices({ userId: "ann" }, await backend(service));
    expect(devices).toMatchObject([{ deviceId: app.deviceId }]);
    const proof = { userId: "ann", code: await app.code() };
    expect((await service.internal.verifyUserTotpCode(proof, await backend(service))).deviceId).toBe(app.deviceId);
    // Reversed: it takes a reason, and the last factor goes only when that is said.
    const disable = { userId: "ann", reason: "left the company" };
    expect(await failure(service.internal.disableUserTotp(disable, await backend(service)))).toMatchObject({
      reason: "LAST_FACTOR",
    });
    const sure = { ...disable, confirmLastFactor: true };
    expect((await service.internal.disableUserTotp(sure, await backend(service))).disabledCount).toBe(1);
  });

  test("GET /admin/mfa/totp/{user_id}: devices without secrets", async () => {
    const service = await serviceForTest(engine);
    const { secret } = await enrolApp(service, "ann");
    const claims = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" } as const;
    const reply = await service.admin.getUserTotp({ userId: "ann" }, await service.mint(claims));
    expect(reply).toMatchObject({ enabled: true, devices: [{ displayName: "Authenticator app" }] });
    expect(JSON.stringify(reply, (_, value) => String(value))).not.toContain(secret);
  });
});
