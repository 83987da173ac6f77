import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorState, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { PushChallengeState, PushDenyReason } from "../../gen/mfa/v1/push_pb.js";
import { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import { appOf, enrollApp } from "../support/actors/authenticator-app.ts";
import { allowTransfers, backendOf, inSession, totp } from "../support/actors/backend.ts";
import { wrongSecret } from "../support/actors/backup-codes.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { makePasskey } from "../support/actors/passkey.ts";
import { askPhone, pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { policyAdmin } from "../support/worlds/risk.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const admin = (service: ServiceUnderTest, scope: string) =>
  service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
const textOf = (reply: unknown) =>
  JSON.stringify(reply, (_, value) => (typeof value === "bigint" ? String(value) : value));

const backend = (service: ServiceUnderTest) => service.backend("mfa.verify mfa.status.read mfa.factors.write");

describe.each(engines)("Autional's operations on $name", (engine) => {
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
    const app = await enrollApp(service, "ann");
    // Reversed: the user_id of its body is the token's, and the reply names the device.
    const { deviceId } = await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
    expect(deviceId).toBe(app.deviceId);
    expect(await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
  });

  test("/mfa/totp/devices: register, list, read, disable, enable, revoke", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann", "aal1", "first");
    await enrollApp(service, "ann", "aal2", "second");
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
    await enrollApp(service, "ann");
    const call = service.mfa.disableTotp({ confirmLastFactor: true }, await service.user("ann", "aal2"));
    expect((await call).disabledCount).toBe(1);
  });

  test("GET /mfa/methods, DELETE /mfa/methods/{method_type}, POST /mfa/credentials/{id}/primary", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    await service.mfa.setPrimaryFactor({ factorId: deviceId, factorType: FactorType.TOTP }, token);
    const { factors } = await service.mfa.listFactors({}, token);
    expect(factors).toMatchObject([{ type: FactorType.TOTP, primary: true, factorId: deviceId }]);
    const deletion = { factorType: FactorType.TOTP, confirmLastFactor: true };
    expect(await service.mfa.deleteFactor(deletion, token)).toMatchObject({ deletedCount: 1 });
  });

  test("GET /mfa/status/{user_id} and /internal/mfa/status/{user_id}", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    // Reversed: the user's own RPC names no user.
    expect((await service.mfa.getMfaStatus({}, token)).status).toMatchObject({ enrolled: true });
    const internal = await service.internal.getUserMfaStatus({ userId: "ann" }, await backend(service));
    expect(internal.status?.factors).toMatchObject([{ type: FactorType.TOTP, enabled: true }]);
  });

  test("/internal/mfa/totp: devices, validate, disable", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
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
    const { secret } = await enrollApp(service, "ann");
    const claims = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" } as const;
    const reply = await service.admin.getUserTotp({ userId: "ann" }, await service.mint(claims));
    expect(reply).toMatchObject({ enabled: true, devices: [{ displayName: "Authenticator app" }] });
    expect(JSON.stringify(reply, (_, value) => String(value))).not.toContain(secret);
  });

  test("/mfa/backup-codes: generate, view, count and verify; /admin/mfa/backup-codes: counts", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    // Reversed: generating asks for a fresh second factor, and codes are shown this once.
    expect(await failure(service.mfa.generateBackupCodes({}, token))).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
    });
    const strong = await service.user("ann", "aal2");
    const { codes } = await service.mfa.generateBackupCodes({}, strong);
    expect(codes).toHaveLength(10);
    const { backupCodes } = await service.mfa.listBackupCodes({}, strong);
    expect(backupCodes).toHaveLength(10);
    for (const code of codes) expect(textOf(backupCodes)).not.toContain(code);
    const [code = ""] = codes;
    expect(await failure(service.mfa.verifyBackupCode({ code: wrongSecret(code) }, token))).toMatchObject({
      reason: "CODE_REJECTED",
    });
    // Its remaining_codes; 80 bits behind a counter, where it has 26 behind none.
    expect((await service.mfa.verifyBackupCode({ code }, token)).count).toMatchObject({ remaining: 9, total: 10 });
    expect(await failure(service.mfa.verifyBackupCode({ code }, token))).toMatchObject({ reason: "CODE_REJECTED" });
    // Its should_regenerate.
    expect((await service.mfa.getBackupCodeCount({}, strong)).count).toMatchObject({
      ...{ remaining: 9, shouldRegenerate: false },
    });
    const root = await admin(service, "mfa.read");
    const { counts } = await service.admin.listUserBackupCodeCounts({}, root);
    expect(counts).toMatchObject([{ userId: "ann", count: { remaining: 9 } }]);
    const one = await service.admin.getUserBackupCodeCount({ userId: "ann" }, root);
    expect(one.count?.lastUseTime).toBeDefined();
  });

  test("/mfa/email: enroll, send, verify, disable", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    const started = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token);
    expect(started.address).toMatchObject({ state: FactorState.PENDING, maskedTarget: "a***@example.com" });
    const first = { challengeId: started.delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    const { address } = await service.mfa.finishEmailEnrollment(first, token);
    expect(address?.state).toBe(FactorState.ACTIVE);
    service.pass(MINUTE);
    // Reversed: it goes to the enrolled address and no other; the reply says when it ends and when another may be sent.
    const { delivery } = await service.mfa.sendEmailCode({}, token);
    expect(delivery).toMatchObject({ maskedTarget: "a***@example.com" });
    expect(delivery?.expireTime && delivery.resendAfterTime).toBeDefined();
    expect(await failure(service.mfa.sendEmailCode({}, token))).toMatchObject({ reason: "RATE_LIMITED" });
    const sent = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    expect((await service.mfa.verifyEmailCode(sent, token)).factorId).toBe(address?.factorId);
    // Reversed: a fresh second factor in place of a code for the purpose.
    const off = await service.mfa.disableEmail({}, await service.user("ann", "aal2"));
    expect(off.address?.state).toBe(FactorState.DISABLED);
  });

  test("/mfa/sms: enroll, send, verify, disable", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    // Reversed: a number of no plan or of a country that is not sent to is refused.
    expect(await failure(service.mfa.startSmsEnrollment({ phoneNumber: "+33612345678" }, token))).toMatchObject({
      reason: "DESTINATION_REFUSED",
    });
    const started = await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token);
    const first = { challengeId: started.delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    const { address } = await service.mfa.finishSmsEnrollment(first, token);
    expect(address).toMatchObject({ state: FactorState.ACTIVE, maskedTarget: "+49 *** ** 78" });
    service.pass(MINUTE);
    const { delivery } = await service.mfa.sendSmsCode({}, token);
    const sent = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    expect((await service.mfa.verifySmsCode(sent, token)).factorId).toBe(address?.factorId);
    expect(await failure(service.mfa.verifySmsCode(sent, token))).toMatchObject({ reason: "CODE_REJECTED" });
    const strong = await service.user("ann", "aal2");
    expect(await failure(service.mfa.disableSms({}, strong))).toMatchObject({ reason: "LAST_FACTOR" });
    const off = await service.mfa.disableSms({ confirmLastFactor: true }, strong);
    expect(off.address?.state).toBe(FactorState.DISABLED);
  });

  test("/mfa/push: challenge, status, approve, deny, history; the backend's and the administrator's view", async () => {
    const service = await serviceForTest(engine);
    await switchPushOn(service);
    const device = await pairPhone(service, "ann");
    // Its number_matching: for the page that asks, in no later reading.
    const action = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };
    const page = await askPhone(service, "ann", { action });
    const read = async () =>
      (await service.mfa.getPushChallenge({ pushChallengeId: page.pushChallengeId }, page.token)).challenge;
    expect(await read()).toMatchObject({ state: PushChallengeState.PENDING });
    const [waiting] = await device.pending();
    if (!waiting) throw new Error("nothing waits");
    // Reversed: its device_key, optional there, is a signature over what was shown.
    await device.approve(waiting, page.number);
    expect(await read()).toMatchObject({ state: PushChallengeState.APPROVED, decidedDeviceId: device.id() });
    expect(textOf(await read())).not.toContain(`"${page.number}"`);
    // Reversed: the approval is redeemed once, here for the action that was shown; having read of it is no proof.
    const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
    const { assertion } = await service.mfa.stepUp({ audience: "shop", action, proof }, page.token);
    expect(assertion?.amr).toEqual(["swk", "mca", "mfa"]);
    service.pass(2 * MINUTE);

    await askPhone(service, "ann");
    const [unwanted] = await device.pending();
    if (!unwanted) throw new Error("nothing waits");
    // Reversed: a victim knows no number, and denies without one.
    await device.deny(unwanted, "NOT_ME");
    const { challenges } = await service.mfa.listPushChallenges({}, await service.user("ann", "aal2"));
    expect(challenges.map(({ state }) => state)).toEqual([PushChallengeState.DENIED, PushChallengeState.REDEEMED]);
    expect(challenges[0]?.denyReason).toBe(PushDenyReason.NOT_ME);

    const shop = await backendOf(service);
    const request = { userId: "ann", client: { ip: "203.0.113.7" }, prepareFactorType: FactorType.PUSH };
    service.pass(20 * MINUTE);
    const created = await service.internal.createUserChallenge(
      { ...request, terms: { purpose: ChallengePurpose.LOG_IN } },
      shop,
    );
    const kind = created.preparation?.kind;
    const status = await service.internal.getUserPushChallenge(
      { userId: "ann", pushChallengeId: kind?.case === "push" ? kind.value.pushChallengeId : "" },
      await service.backend("mfa.challenge mfa.verify mfa.status.read"),
    );
    expect(status.challenge?.state).toBe(PushChallengeState.PENDING);
    const root = await admin(service, "mfa.read");
    const seen = await service.admin.listUserPushChallenges({ userId: "ann" }, root);
    expect(seen.challenges).toHaveLength(3);
    service.pass(1000);
    const stats = await service.admin.getPushStats({}, root);
    expect(stats).toMatchObject({ total: 3n, approved: 1n, denied: 1n, pending: 1n });
  });

  test("POST /mfa/challenge, and what it lacks: an answer, another way, an end", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "web");
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const { challenge } = await service.mfa.createChallenge({ terms }, token);
    expect(challenge).toMatchObject({ state: ChallengeState.PENDING, factors: [{ factorId: app.deviceId }] });
    const challengeId = challenge?.challengeId ?? "";
    const proven = await service.mfa.verifyChallenge({ challengeId, proof: totp(await app.code()) }, token);
    expect(proven.challenge).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.TOTP });
    const other = await service.mfa.createChallenge({ terms }, token);
    const cancelled = await service.mfa.cancelChallenge({ challengeId: other.challenge?.challengeId ?? "" }, token);
    expect(cancelled.challenge?.state).toBe(ChallengeState.CANCELLED);
  });

  test("POST /mfa/step-up: a token for one user, session, backend and action, once", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "web");
    await allowTransfers(service);
    const action = { type: "transfer.create", parameters: { amount: "10", to: "Bob" } };
    const stepUp = { audience: "shop", nonce: "n", action, proof: totp(await app.code()) };
    const { assertion } = await service.mfa.stepUp(stepUp, token);
    expect(assertion).toMatchObject({ acr: "aal2", amr: ["otp", "mfa"], actionBinding: ActionBinding.SERVER });
    const shop = await backendOf(service);
    const request = {
      userId: "ann",
      token: assertion?.token ?? "",
      sessionId: "web",
      nonce: "n",
      action,
      consume: true,
    };
    const altered = { ...request, action: { ...action, parameters: { ...action.parameters, to: "Eve" } } };
    for (const foreign of [altered, { ...request, userId: "bob" }, { ...request, sessionId: "other" }]) {
      expect(await failure(service.internal.verifyAssertion(foreign, shop))).toMatchObject({
        reason: "ASSERTION_REJECTED",
      });
    }
    expect((await service.internal.verifyAssertion(request, shop)).claims?.acr).toBe("aal2");
    expect(await failure(service.internal.verifyAssertion(request, shop))).toMatchObject({
      reason: "ASSERTION_REJECTED",
    });
  });

  test("/mfa/devices/sync: a blob that the service cannot read, in the place of secrets", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const blob = randomBytes(200);
    const checksum = createHash("sha256").update(blob).digest();
    const { device } = await service.mfa.syncDevice({ displayName: "Ann's phone", blob, checksum }, token);
    expect(device).toMatchObject({ displayName: "Ann's phone", version: 1n, size: 200 });
    const { devices } = await service.mfa.listSyncedDevices({}, token);
    expect(devices).toMatchObject([{ syncedDeviceId: device?.syncedDeviceId, version: 1n }]);
    const syncedDeviceId = device?.syncedDeviceId ?? "";
    expect(Buffer.from((await service.mfa.getSyncedDevice({ syncedDeviceId }, token)).blob)).toEqual(blob);
    const stale = service.mfa.syncDevice({ syncedDeviceId, blob, checksum, version: 0n }, token);
    expect(await failure(stale)).toMatchObject({ reason: "STALE_VERSION" });
    await service.mfa.deleteSyncedDevice({ syncedDeviceId }, token);
    expect((await service.mfa.listSyncedDevices({}, token)).devices).toEqual([]);
  });

  test("/mfa/trusted-devices: remember, check, list, read, revoke, clean up, revoke all", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    await enrollApp(service, "ann");
    // Reversed: a secret of the service's in the place of a fingerprint, and only right after a second factor.
    const request = { displayName: "Laptop" };
    expect(await failure(service.mfa.trustDevice(request, await service.user("ann")))).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
    });
    const strong = await service.user("ann", "aal2");
    const first = await service.mfa.trustDevice(request, strong);
    // Reversed: the secret in a body, where it has a fingerprint and a user in a URL; it changes with each use.
    const checked = await service.mfa.checkDeviceTrust({ trustToken: first.trustToken }, await service.user("ann"));
    expect(checked.deviceTrust).toMatchObject({ trusted: true, device: { displayName: "Laptop", current: true } });
    expect(checked.deviceTrust?.trustToken).not.toBe(first.trustToken);
    const foreign = await service.mfa.checkDeviceTrust({ trustToken: first.trustToken }, await service.user("bob"));
    expect(foreign.deviceTrust).toMatchObject({ trusted: false, trustToken: "" });
    const { devices } = await service.mfa.listTrustedDevices({}, strong);
    const [{ trustedDeviceId }] = devices as [(typeof devices)[number]];
    const { device } = await service.mfa.getTrustedDevice({ trustedDeviceId }, strong);
    expect(device).toMatchObject({ displayName: "Laptop", ip: "127.0.0.1" });
    expect(device?.trustedUntilTime).toBeDefined();
    await service.mfa.revokeTrustedDevice({ trustedDeviceId }, strong);
    expect(await failure(service.mfa.getTrustedDevice({ trustedDeviceId }, strong))).toMatchObject({
      reason: "NOT_FOUND",
    });
    await service.mfa.trustDevice({ lifetime: { seconds: 3600n, nanos: 0 } }, strong);
    await service.mfa.trustDevice({}, strong);
    service.pass(60 * MINUTE);
    const later = await service.user("ann", "aal2");
    // Reversed: the caller's own, and it says how many.
    expect((await service.mfa.cleanUpTrustedDevices({}, later)).removedCount).toBe(1);
    expect((await service.mfa.revokeAllTrustedDevices({}, later)).revokedCount).toBe(1);
  });

  test("/mfa/webauthn/credentials: register, verify, list, read, rename, delete", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const passkey = makePasskey();
    // Reversed: who has a factor registers another by a fresh second factor.
    expect(await failure(service.mfa.startWebAuthnRegistration({}, await service.user("ann")))).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
    });
    const token = await service.user("ann", "aal2");
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({ displayName: "Key" }, token);
    // Reversed: base64url, where the seed has the bytes of Go.
    expect(options).toMatchObject({ challenge: expect.stringMatching(/^[\w-]{43}$/), excludeCredentials: [] });
    const response = passkey.create(options);
    const { credential } = await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
    const { credentialId = "", version = 0n } = credential ?? {};
    expect(credential).toMatchObject({ displayName: "Key", userVerified: true, backedUp: false });
    const { credentials } = await service.mfa.listWebAuthnCredentials({}, token);
    expect(credentials.map((one) => one.credentialId)).toEqual([credentialId]);
    await service.mfa.updateWebAuthnCredential({ credentialId, displayName: "Blue key", version }, token);
    const read = await service.mfa.getWebAuthnCredential({ credentialId }, token);
    expect(read.credential?.displayName).toBe("Blue key");
    const deleted = await service.mfa.deleteWebAuthnCredential({ credentialId }, token);
    // Beyond it: what the browser is told, so that it forgets the passkey too.
    expect(deleted.signals).toMatchObject({ rpId: "localhost", acceptedCredentialIds: [] });
    expect(await failure(service.mfa.getWebAuthnCredential({ credentialId }, token))).toMatchObject({
      reason: "NOT_FOUND",
    });
  });

  test("/admin/mfa/ip-whitelist: create, list, read, update, delete; /admin/mfa/config-audit-logs tell of each", async () => {
    const service = await serviceForTest(engine);
    const root = await admin(service, "mfa.ip.write mfa.read mfa.audit.read");
    const { entry } = await service.admin.createIpWhitelistEntry({ cidr: "192.0.2.0/24", label: "office" }, root);
    const { entryId = "", version = 0n } = entry ?? {};
    const twice = service.admin.createIpWhitelistEntry({ cidr: "192.0.2.0/24", label: "again" }, root);
    expect(await failure(twice)).toMatchObject({ reason: "DUPLICATE" });
    const { entries } = await service.admin.listIpWhitelistEntries({}, root);
    expect(entries).toMatchObject([{ entryId, cidr: "192.0.2.0/24", enabled: true }]);
    await service.admin.updateIpWhitelistEntry({ entryId, enabled: false, version }, root);
    expect((await service.admin.getIpWhitelistEntry({ entryId }, root)).entry?.enabled).toBe(false);
    await service.admin.deleteIpWhitelistEntry({ entryId }, root);
    // Reversed: of another tenant it is as if it were not there.
    const foreign = { audience: "mfa-admin", subject: "r", acr: "aal2", scope: "mfa.read", tenant: "acme" } as const;
    const read = service.admin.getIpWhitelistEntry({ entryId }, await service.mint(foreign));
    expect(await failure(read)).toMatchObject({ reason: "NOT_FOUND" });
    const filter = { targetId: entryId };
    const logs = await service.admin.listConfigAuditLogs({ filter }, root);
    expect(logs.entries.map(({ action, operatorId }) => [action, operatorId])).toEqual([
      ["ip_whitelist_entry.deleted", "root"],
      ["ip_whitelist_entry.updated", "root"],
      ["ip_whitelist_entry.created", "root"],
    ]);
  });

  test("/admin/mfa/risk-policies and /admin/mfa/risk-policy: set a level, judge by it, go back, set all", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const root = await policyAdmin(service);
    const { policies } = await service.admin.listRiskPolicies({}, root);
    // The levels that nobody set are listed too, as defaults.
    expect(policies.map(({ level, defaultPolicy }) => [RiskLevel[level], defaultPolicy])).toEqual([
      ["LOW", true],
      ["MEDIUM", true],
      ["HIGH", true],
    ]);
    // Its required_methods[] are one group: reversed, as a list could not say whether all or any.
    const requirement = { anyOf: [{ allOf: [FactorType.TOTP] }] };
    const level = RiskLevel.HIGH;
    const update = { level, requirement, description: "new places", enabled: true, reason: "their audit" };
    const { policy } = await service.admin.updateRiskPolicy(update, root);
    expect(policy).toMatchObject({ level, requirement, description: "new places", enabled: true, version: 1n });
    // Reversed: the change is based on what was read.
    expect(await failure(service.admin.updateRiskPolicy(update, root))).toMatchObject({ reason: "STALE_VERSION" });
    const impossible = { ...update, version: 1n, requirement: { anyOf: [{ allOf: [FactorType.SMS] }] } };
    expect(await failure(service.admin.updateRiskPolicy(impossible, root))).toMatchObject({
      reason: "POLICY_UNSATISFIABLE",
    });
    const request = { userId: "ann", client: { ip: "203.0.113.7" }, deviceFingerprint: "their hash" };
    const judged = await service.admin.evaluateRisk(request, root);
    // Its is_new_device, level and required_methods[], and why.
    expect(judged).toMatchObject({
      decision: { newDevice: true, level: RiskLevel.LOW, reasons: expect.any(Array) },
      requiredFactorTypes: [FactorType.TOTP],
    });
    for (let n = 0; n < 2; n += 1) await service.admin.deleteRiskPolicy({ level, reason: "done" }, root);
    const { policy: whole, version } = await service.admin.getMfaRiskPolicy({}, root);
    expect(whole?.highRisk?.anyOf).toEqual([]);
    const all = { lowRisk: {}, mediumRisk: requirement, highRisk: { block: true } };
    // Reversed: what is asked for and what is answered have one shape.
    expect(await service.admin.updateMfaRiskPolicy({ policy: all, version }, root)).toMatchObject({ policy: all });
    const { policies: rows } = await service.admin.listRiskPolicies({}, root);
    expect(rows.map(({ requirement }) => requirement?.block)).toEqual([false, false, true]);
  });
});
