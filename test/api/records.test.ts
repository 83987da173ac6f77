import { randomBytes, randomUUID } from "node:crypto";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { auditEntries } from "../../src/audit/audit-entries.table.ts";
import { auditSubjects } from "../../src/audit/audit-subjects.table.ts";
import { methods } from "../../src/compose/services.ts";
import type { Store } from "../../src/db/store.ts";
import { rpcPolicyOf } from "../../src/rpc/access/policy.ts";
import { users } from "../../src/users/users.table.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { drain, failure, streamer } from "../support/actors/grpc-client.ts";
import { enrollEmail, enrollPhone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { createKey, keeperOf } from "../support/actors/service-keys.ts";
import { trustAndSync } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const rows = async (store: Store) => ({
  events: await eventsOf(store),
  audit: await rowsIn(store, auditEntries),
  users: await rowsIn(store, users),
  subjects: await rowsIn(store, auditSubjects),
});

const imported = { case: "totp" as const, value: { secret: randomBytes(20) } };

/** Resets a user, and decides about resets in every way. */
async function resetAndDecide(service: ServiceUnderTest) {
  const reason = "called in";
  const [root, eve] = [await adminOf(service), await adminOf(service, "mfa.reset", { subject: "eve" })];
  await service.admin.resetUserMfa({ userId: "lea", reason }, root);
  await service.admin.resetUserFactor({ userId: "lea", factorType: FactorType.TOTP, reason }, root);
  await setTenant(service, { administration: { fourEyes: true } });
  const ask = async () => {
    const { outcome } = await service.admin.resetUserMfa({ userId: "lea", reason }, root);
    return outcome.case === "approval" ? outcome.value.approvalId : "";
  };
  await service.admin.grantApproval({ approvalId: await ask(), reason }, eve);
  await service.admin.rejectApproval({ approvalId: await ask(), reason }, eve);
  await service.admin.cancelApproval({ approvalId: await ask() }, root);
}

describe.each(engines)("records on $name", (engine) => {
  test("an enrollment leaves audit entries, an event and a new epoch", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const { audit, events, users, subjects } = await rows(service.store);
    expect(audit.map(({ action, targetId }) => ({ action, targetId }))).toEqual([
      { action: "totp.enrollment_started", targetId: deviceId },
      { action: "totp.enrolled", targetId: deviceId },
    ]);
    // Ann herself, under the pseudonym that hides her once she is forgotten.
    expect(audit[1]).toMatchObject({ tenantId: "dev", actorType: "USER", actorId: audit[1]?.userId });
    expect(subjects).toMatchObject([{ userId: "ann", pseudonym: audit[1]?.userId }]);
    expect(audit[1]?.rpc).toBe("mfa.v1.MfaService/FinishTotpEnrollment");
    expect(events).toEqual(["FACTOR_ENROLLED UNSPECIFIED", "PROOF_SUCCEEDED UNSPECIFIED"]);
    expect(users).toMatchObject([{ userId: "ann", mfaEpoch: 1 }]);
  });

  test("every audited RPC that is built leaves an entry in its own name", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const { deviceId: other } = await enrollApp(service, "ann", "aal2");
    const ann = await service.user("ann", "aal2");
    const { setId } = await service.mfa.generateBackupCodes({}, ann);
    await service.mfa.confirmBackupCodes({ setId }, ann);
    await service.mfa.updateTotpDevice({ deviceId, displayName: "phone", version: 1n }, ann);
    await service.mfa.setPrimaryFactor({ factorId: deviceId }, ann);
    await service.mfa.disableTotpDevice({ deviceId }, ann);
    await service.mfa.enableTotpDevice({ deviceId }, ann);
    await service.mfa.replaceTotpDevice({ deviceId }, ann);
    await service.mfa.revokeTotpDevice({ deviceId: other }, ann);
    await service.mfa.deleteTotpDevice({ deviceId: other }, ann);
    await service.mfa.disableTotp({ confirmLastFactor: true }, ann);
    await service.mfa.deleteFactor({ factorType: FactorType.TOTP }, ann);
    const { credential } = await enrollPasskey(service, "ann");
    const rename = { credentialId: credential.credentialId, displayName: "Key ring", version: 1n };
    await service.mfa.updateWebAuthnCredential(rename, ann);
    const forget = { credentialId: credential.credentialId, confirmLastFactor: true };
    await service.mfa.deleteWebAuthnCredential(forget, ann);
    const admin = { audience: "mfa-admin", subject: "root", acr: "aal2" } as const;
    const root = await service.mint({
      ...admin,
      scope:
        "mfa.settings.write mfa.lockout.write mfa.reset mfa.audit.read mfa.audit.repair mfa.ip.write mfa.policy.write mfa.schedule.write",
    });
    const { keyId } = await createKey(service, ["mfa.tokens"]);
    await service.admin.revokeServiceKey({ keyId }, await keeperOf(service, ""));
    const firstFactorTime = timestampFromDate(service.clock.now);
    const client = { ip: "203.0.113.7" };
    await service.internal.issueUserToken(
      { userId: "ann", firstFactorTime, client },
      await service.backend("mfa.tokens"),
    );
    await service.admin.clearLockout({ userId: "ann", reason: "called in" }, root);
    await service.admin.updateTenantSettings({ totp: { issuer: "Shop" } }, root);
    await service.admin.issueTemporaryPass({ userId: "ann", reason: "lost phone" }, root);
    await service.admin.revokeTemporaryPass({ userId: "ann", reason: "found it" }, root);
    const joe = await enrollPasskey(service, "joe");
    const moved = { userId: "joe", credentialId: joe.credential.credentialId, reason: "moved" };
    await service.admin.acceptUserWebAuthnCredential(moved, await adminOf(service));
    await service.admin.listConfigAuditLogs({}, root);
    const { endpoint } = await service.admin.createWebhookEndpoint({ url: "https://93.184.215.14/events" }, root);
    const { endpointId = "" } = endpoint ?? {};
    await service.admin.updateWebhookEndpoint({ endpointId, version: 1n, paused: true }, root);
    await service.admin.rotateWebhookSecret({ endpointId }, root);
    await service.admin.replayWebhookEvents({ endpointId }, root);
    await service.admin.deleteWebhookEndpoint({ endpointId }, root);
    const { entry } = await service.admin.createIpWhitelistEntry({ cidr: "192.0.2.0/24", label: "office" }, root);
    const { entryId = "" } = entry ?? {};
    await service.admin.updateIpWhitelistEntry({ entryId, version: 1n, label: "shop" }, root);
    await service.admin.deleteIpWhitelistEntry({ entryId }, root);
    const everyone = { selector: { everyone: true }, strength: AuthenticationStrength.ANY_FACTOR, reportOnly: true };
    const { rule } = await service.admin.createEnforcementRule(everyone, root);
    const { ruleId = "" } = rule ?? {};
    await service.admin.updateEnforcementRule({ ruleId, version: 1n, description: "trial" }, root);
    await service.admin.deleteEnforcementRule({ ruleId }, root);
    const level = RiskLevel.LOW;
    await service.admin.updateRiskPolicy({ level, description: "reviewed" }, root);
    await service.admin.deleteRiskPolicy({ level }, root);
    const policy = { lowRisk: {}, mediumRisk: {}, highRisk: { block: true } };
    await service.admin.updateMfaRiskPolicy({ policy, version: 2n }, root);
    await service.admin.runScheduledTask({ taskName: "event_retention" }, root);
    await service.admin.pauseScheduledTask({ taskName: "event_retention" }, root);
    await service.admin.resumeScheduledTask({ taskName: "event_retention" }, root);
    await service.admin.verifyAuditChain({}, root);
    await service.admin.repairAuditChain({ reason: "a drill" }, root);
    await drain(streamer(service.port)(AdminMfaService.method.exportAudit, {}, root));
    await enrollApp(service, "bob");
    const disable = { userId: "bob", reason: "left", confirmLastFactor: true };
    await service.internal.disableUserTotp(disable, await service.backend("mfa.factors.write"));
    await switchPushOn(service);
    const phone = await pairPhone(service, "pat");
    await phone.rotate({ kind: { case: "poll", value: true } });
    const pat = await service.user("pat", "aal2");
    await service.mfa.updatePushDevice({ deviceId: phone.id(), displayName: "Mine", version: 1n }, pat);
    await service.mfa.revokePushDevice({ deviceId: phone.id(), confirmLastFactor: true }, pat);
    await switchOn(service);
    const { token } = await enrollPhone(service, "eve");
    await service.mfa.disableSms({ confirmLastFactor: true }, token);
    await service.mfa.enableSms({}, token);
    await enrollEmail(service, "kim");
    await service.mfa.disableEmail({}, await service.user("kim", "aal2"));
    await service.mfa.enableEmail({}, await service.user("kim", "aal2"));
    await trustAndSync(service, "tom");
    await resetAndDecide(service);
    await service.admin.exportUser({ userId: "lea", reason: "asked" }, await adminOf(service, "mfa.export"));
    const source = { case: "factors" as const, value: { factors: [{ userId: "lea", kind: imported }] } };
    await service.internal.importFactors({ source, commit: true }, await service.backend("mfa.import"));
    const erasure = { userId: "lea", erasureId: randomUUID() };
    await service.internal.eraseUser(erasure, await service.backend("mfa.erase"));
    const audited = methods.filter((method) => rpcPolicyOf(method).audited).map(({ name }) => name);
    const { audit } = await rows(service.store);
    expect(new Set(audit.map(({ rpc }) => rpc.split("/")[1]))).toEqual(new Set(audited));
  });

  test("only the events tell a wrong code from a used one, and say when the lock came", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const [code, wrong] = [await app.code(), await wrongCode(app)];
    await service.mfa.verifyTotpCode({ code }, app.token);
    await failure(service.mfa.verifyTotpCode({ code }, app.token));
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code: wrong }, app.token));
    const { events } = await rows(service.store);
    expect(events.slice(2)).toEqual([
      "PROOF_SUCCEEDED UNSPECIFIED",
      "PROOF_REPLAYED REPLAYED",
      ...Array(4).fill("PROOF_FAILED WRONG"),
      "USER_LOCKED UNSPECIFIED",
    ]);
  });

  test("no secret and no code is in any log line, and none in a row but sealed", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const code = await app.code();
    await service.mfa.verifyTotpCode({ code }, app.token);
    await failure(service.mfa.verifyTotpCode({ code }, app.token));
    const kept = JSON.stringify([service.log, await rows(service.store)]);
    for (const secret of [app.secret, code, app.token]) expect(kept).not.toContain(secret);
  });
});
