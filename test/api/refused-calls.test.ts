import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { AuditOutcome } from "../../gen/mfa/v1/audit_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { drain, failure, streamer, tally } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const reason = "lost phone";

async function auditedService(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  const refused = async (filter: object = {}) => {
    const token = await adminOf(service, "mfa.audit.read", { subject: "auditor" });
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { module: "rpc", ...filter } }, token);
    return entries;
  };
  const count = async (table: string) => (await everyRow(service.store))[table]?.length;
  return { ...service, refused, count };
}

describe.each(engines)("calls that came to nothing, in the audit trail on $name", (engine) => {
  test("an administrator without the scope, or too long after the log-in, was denied: who, what, whence", async () => {
    const service = await auditedService(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const request = { userId: "ann", reason };
    const viewer = await adminOf(service, "mfa.read", { subject: "viewer" });
    const marked = service.admin.resetUserMfa(request, viewer, { "x-request-id": "order-7" });
    expect((await failure(marked)).reason).toBe("ACCESS_DENIED");
    const stale = await adminOf(service, "mfa.reset", { subject: "late" });
    service.pass(16 * MINUTE);
    expect((await failure(service.admin.resetUserMfa(request, stale))).reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");

    const entries = await service.refused({ outcome: AuditOutcome.DENIED });
    expect(entries.map(({ operatorId, after }) => [operatorId, after])).toEqual([
      ["late", { refused: "INSUFFICIENT_USER_AUTHENTICATION" }],
      ["viewer", { refused: "ACCESS_DENIED" }],
    ]);
    expect(entries[1]).toMatchObject({
      ...{ action: "rpc.denied", targetType: "rpc", targetId: "ResetUserMfa", userId: "", ip: "127.0.0.1" },
      ...{ rpc: "mfa.v1.AdminMfaService/ResetUserMfa", callId: "order-7" },
      message: "ResetUserMfa denied to administrator viewer.",
    });
    expect(service.log.join("\n")).toContain(`"callId":"${entries[0]?.callId}"`);
    expect(service.log.join("\n")).toMatch(/"reason":"ACCESS_DENIED".*"caller":"viewer"/);
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    expect(devices.map((device) => device.deviceId)).toEqual([deviceId]);
    const reader = await adminOf(service, "mfa.audit.read");
    expect(await service.admin.verifyAuditChain({}, reader)).toMatchObject({ intact: true });
  });

  test("an act on oneself was denied, and one that could not be done failed", async () => {
    const service = await auditedService(engine);
    await enrollApp(service, "ann");
    const own = service.admin.resetUserMfa(
      { userId: "ann", reason },
      await adminOf(service, "mfa.reset", { subject: "ann" }),
    );
    expect((await failure(own)).reason).toBe("SELF_ACTION");
    const settings = await adminOf(service, "mfa.settings.write");
    const stale = service.admin.updateTenantSettings({ totp: { issuer: "Shop" }, version: 7n, reason }, settings);
    expect((await failure(stale)).reason).toBe("STALE_VERSION");

    expect(await service.refused()).toMatchObject([
      {
        ...{ action: "rpc.failed", targetId: "UpdateTenantSettings", after: { refused: "STALE_VERSION" } },
        ...{ outcome: AuditOutcome.FAILED, message: "UpdateTenantSettings failed for administrator root." },
      },
      { action: "rpc.denied", targetId: "ResetUserMfa", userId: "ann", after: { refused: "SELF_ACTION" } },
    ]);
    expect(await service.refused({ userId: "ann" })).toHaveLength(1);
    const failed = await service.refused({ outcome: AuditOutcome.FAILED });
    expect(failed.map(({ action }) => action)).toEqual(["rpc.failed"]);
  });

  test("a backend without the scope was denied, and a stream too", async () => {
    const service = await auditedService(engine);
    const backend = await service.backend("mfa.verify");
    const erased = service.internal.eraseUser({ userId: "ann", erasureId: "e1" }, backend);
    expect((await failure(erased)).code).toBe(Code.PermissionDenied);
    const viewer = await adminOf(service, "mfa.read", { subject: "viewer" });
    const exported = drain(streamer(service.port)(AdminMfaService.method.exportAudit, {}, viewer));
    await expect(exported).rejects.toThrow();
    expect((await service.refused()).map(({ targetId, operatorId }) => [targetId, operatorId])).toEqual([
      ["ExportAudit", "viewer"],
      ["EraseUser", "shop"],
    ]);
  });

  test("no user gets into the trail by it, neither one it does not know nor who was refused themselves", async () => {
    const service = await auditedService(engine);
    await enrollApp(service, "ann");
    const known = await service.count("audit_subjects");
    const root = await adminOf(service, "mfa.reset", { subject: "eve" });
    const own = service.admin.resetUserMfa({ userId: "eve", reason }, root);
    expect((await failure(own)).reason).toBe("SELF_ACTION");
    const [entry] = await service.refused();
    expect(entry).toMatchObject({ targetId: "ResetUserMfa", userId: "" });
    const mine = service.mfa.startTotpEnrollment({}, await service.user("ann"));
    expect((await failure(mine)).reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    const foreign = service.admin.resetUserMfa({ userId: "ann", reason }, await service.user("ann"));
    await failure(foreign);
    const unaudited = service.admin.listLockouts({}, root);
    expect((await failure(unaudited)).reason).toBe("ACCESS_DENIED");
    expect(await service.refused()).toHaveLength(1);
    expect(await service.count("audit_subjects")).toBe(known);
  });

  test("a loop of refusals does not fill the trail", async () => {
    const service = await auditedService(engine);
    const viewer = await adminOf(service, "mfa.read", { subject: "viewer" });
    const calls = Array.from({ length: 80 }, () => service.admin.resetUserMfa({ userId: "ann", reason }, viewer));
    expect(await tally(calls)).toEqual({ ACCESS_DENIED: 80 });
    const entries = await service.refused();
    expect(entries.length).toBeGreaterThanOrEqual(30);
    expect(entries.length).toBeLessThan(80);
  });
});
