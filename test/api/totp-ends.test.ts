// How authenticator apps begin and end: what a new one takes without being asked, and what is left of one that is gone.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { TotpAlgorithm, TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import { totpDevices } from "../../src/factors/totp/totp.table.ts";
import { enrollApp, showCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow, rowsIn } from "../support/engine/rows.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;

describe.each(engines)("the life of TOTP devices on $name", (engine) => {
  test("an app that is enrolled without further wishes counts SHA-1, six digits and thirty seconds", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const started = await service.mfa.startTotpEnrollment({}, token);
    const replacing = await service.mfa.replaceTotpDevice({ deviceId }, token);
    for (const { device, provisioning } of [started, replacing]) {
      expect(device).toMatchObject({ algorithm: TotpAlgorithm.SHA1, digits: 6, period: { seconds: 30n } });
      expect(device?.deviceId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
      expect(device?.lastUseTime).toBeUndefined();
      expect(provisioning?.secret).toMatch(/^[A-Z2-7]{32}$/);
    }
  });

  test("a replacement that is not finished in ten minutes is forgotten, and the old device goes on", async () => {
    const service = await serviceForTest(engine);
    const old = await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const { expireTime, provisioning } = await service.mfa.replaceTotpDevice({ deviceId: old.deviceId }, token);
    expect(expireTime && timestampDate(expireTime)).toEqual(new Date(service.clock.now.getTime() + 10 * MINUTE));
    service.pass(10 * MINUTE);
    const later = await service.user("ann", "aal2");
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    expect((await failure(service.mfa.finishTotpEnrollment({ code }, later))).reason).toBe("ENROLLMENT_EXPIRED");
    const { devices } = await service.mfa.listTotpDevices({}, later);
    expect(devices.map(({ deviceId }) => deviceId)).toEqual([old.deviceId]);
    await service.mfa.verifyTotpCode({ code: await old.code() }, later);
    const { device } = await service.mfa.getTotpDevice({ deviceId: old.deviceId }, later);
    expect(device?.lastUseTime && timestampDate(device.lastUseTime)).toEqual(service.clock.now);
    const started = await service.mfa.startTotpEnrollment({}, later);
    expect(started.expireTime && timestampDate(started.expireTime)).toEqual(
      new Date(service.clock.now.getTime() + 10 * MINUTE),
    );
  });

  test("a revoked device's secret is destroyed, and its place is another's", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    for (let n = 2; n <= 5; n++) await enrollApp(service, "ann", "aal2");
    const sealed = async () =>
      (await rowsIn(service.store, totpDevices)).find((row) => row.deviceId === deviceId)?.sealedSecret.toString("hex");
    const before = await sealed();
    const token = await service.user("ann", "aal2");
    expect((await failure(service.mfa.startTotpEnrollment({}, token))).reason).toBe("LIMIT_REACHED");
    await service.mfa.revokeTotpDevice({ deviceId }, token);
    expect((await sealed())?.length).toBeLessThan((before?.length ?? 0) / 2);
    await service.mfa.startTotpEnrollment({}, token);
  });

  test("only the audit trail and the events know a device that was deleted, in whichever state it was", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const kinds = ["active", "disabled", "revoked", "pending"];
    for (const kind of kinds) {
      const token = await service.user("ann", "aal2");
      const deviceId =
        kind === "pending"
          ? ((await service.mfa.startTotpEnrollment({}, token)).device?.deviceId ?? "")
          : (await enrollApp(service, "ann", "aal2")).deviceId;
      if (kind === "disabled") await service.mfa.disableTotpDevice({ deviceId }, token);
      if (kind === "revoked") await service.mfa.revokeTotpDevice({ deviceId }, token);
      if (kind === "pending") {
        expect((await failure(service.mfa.enableTotpDevice({ deviceId }, token))).reason).toBe("WRONG_STATE");
      }
      await service.mfa.deleteTotpDevice({ deviceId }, token);
      expect((await service.mfa.listTotpDevices({}, token)).devices).toHaveLength(1);
      const rows = await everyRow(service.store);
      const knowing = Object.keys(rows).filter((table) => rows[table]?.some((row) => row.includes(deviceId)));
      expect(knowing.filter((table) => !["audit_entries", "events"].includes(table))).toEqual([]);
      expect(knowing).toContain("audit_entries");
    }
  });

  test("all devices are disabled at once, are kept, and count what was active", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const { deviceId } = await enrollApp(service, "ann", "aal2");
    await enrollApp(service, "ann", "aal2");
    const token = await service.user("ann", "aal2");
    await service.mfa.disableTotpDevice({ deviceId }, token);
    expect((await service.mfa.disableTotp({ confirmLastFactor: true }, token)).disabledCount).toBe(2);
    const { devices } = await service.mfa.listTotpDevices({}, token);
    expect(devices.map(({ state }) => state)).toEqual(Array(3).fill(TotpDeviceState.DISABLED));
  });
});
