import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision } from "../../gen/mfa/v1/risk_pb.js";
import { TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import { enrollApp, showCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { offeredTo } from "../support/actors/log-in.ts";
import { enrollPhone, newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const { TOTP, WEBAUTHN, PUSH, SMS } = FactorType;

const enrollable = async (service: ServiceUnderTest, user = "ann") =>
  (await service.mfa.getMfaStatus({}, await service.user(user))).status?.enrollableTypes ?? [];

/** Five apps of ann's, each switched off. */
async function fiveOff(service: ServiceUnderTest) {
  const apps = [await enrollApp(service, "ann")];
  for (let n = 2; n <= 5; n++) apps.push(await enrollApp(service, "ann", "aal2"));
  const token = await service.user("ann", "aal2");
  for (const { deviceId } of apps) await service.mfa.disableTotpDevice({ deviceId, confirmLastFactor: true }, token);
  return apps;
}

describe.each(engines)("room for one more factor on $name", (engine) => {
  test("whoever has switched all of five apps off enrolls again: the oldest gives way", async () => {
    const service = await serviceForTest(engine);
    const [oldest] = await fiveOff(service);
    const firstFactorTime = timestampFromDate(service.clock.now);
    const asked = { firstFactorTime, strength: AuthenticationStrength.ANY_FACTOR };
    const found = await offeredTo(service, "ann", asked);
    expect(found.decision).toBe(MfaDecision.ENROLL);
    expect(found.enrollableTypes).toContain(TOTP);
    expect(await enrollable(service)).toContain(TOTP);
    const headers = { authorization: `Ticket ${found.ticket}` };
    const { provisioning } = await service.mfa.startTotpEnrollment({}, undefined, headers);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, undefined, headers);
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    const inState = (state: TotpDeviceState) => devices.filter((device) => device.state === state);
    expect(inState(TotpDeviceState.ACTIVE)).toHaveLength(1);
    expect(inState(TotpDeviceState.DISABLED)).toHaveLength(4);
    expect(inState(TotpDeviceState.REVOKED).map(({ deviceId }) => deviceId)).toEqual([oldest?.deviceId]);
    // With one in use the cap holds again, and nothing is offered beyond it.
    const token = await service.user("ann", "aal2");
    expect((await failure(service.mfa.startTotpEnrollment({}, token))).reason).toBe("LIMIT_REACHED");
    expect(await enrollable(service)).not.toContain(TOTP);
  });

  test("who keeps fifty revoked apps and has none in use enrolls all the same", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const kept =
      "tenant_id, user_id, display_name, algorithm, digits, period_seconds, sealed_secret, last_step, create_time, update_time";
    for (let n = 0; n < 49; n++) {
      await service.execute(
        `INSERT INTO totp_devices (device_id, state, ${kept})
         SELECT 'revoked ${n}', 'revoked', ${kept} FROM totp_devices WHERE state = 'active'`,
      );
    }
    const off = { deviceId, confirmLastFactor: true };
    await service.mfa.disableTotpDevice(off, await service.user("ann", "aal2"));
    service.pass(60_000);
    await enrollApp(service, "ann");
    const { devices } = await service.mfa.listTotpDevices({ pageSize: 250 }, await service.user("ann", "aal2"));
    expect(devices).toHaveLength(50);
  });

  test("a number that was switched off is enrolled again by proving it", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollPhone(service, "ann");
    await service.mfa.disableSms({ confirmLastFactor: true }, token);
    expect(await enrollable(service)).toContain(SMS);
    const aal1 = await service.user("ann");
    const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, aal1);
    const challengeId = delivery?.challengeId ?? "";
    const code = await newestCode(service, "ann");
    const { address } = await service.mfa.finishSmsEnrollment({ challengeId, code }, aal1);
    expect((await offeredTo(service)).factors).toMatchObject([{ factorId: address?.factorId, type: SMS }]);
  });

  test("no kind is offered that is full", async () => {
    const service = await serviceForTest(engine);
    await switchPushOn(service, { maxDevices: 1 });
    await setTenant(service, { webauthn: { maxCredentials: 1 }, totp: { maxDevices: 1 } });
    await pairPhone(service, "ann");
    await enrollPasskey(service, "ann");
    expect(await enrollable(service)).toContain(TOTP);
    await enrollApp(service, "ann", "aal2");
    const offered = await enrollable(service);
    for (const full of [TOTP, WEBAUTHN, PUSH]) expect(offered).not.toContain(full);
    for (const type of [TOTP, WEBAUTHN, PUSH]) expect(await enrollable(service, "new")).toContain(type);
  });
});
