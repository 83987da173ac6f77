import { expect } from "vitest";
import { FactorType } from "../../../../gen/mfa/v1/factor_pb.js";
import { BackupCodePolicy, FraudMode, LockProfile } from "../../../../gen/mfa/v1/tenant_settings_pb.js";
import { TotpAlgorithm } from "../../../../gen/mfa/v1/totp_pb.js";
import { adminOf } from "../../actors/administrators.ts";
import { enrollApp, showCode, wrongCode } from "../../actors/authenticator-app.ts";
import { enrollCodes } from "../../actors/backup-codes.ts";
import { failure } from "../../actors/grpc-client.ts";
import { begunLogIn, offeredTo } from "../../actors/log-in.ts";
import { enrollEmail, enrollPhone, newestCode, switchOn } from "../../actors/one-time-codes.ts";
import { type ServiceUnderTest, setTenant } from "../service.ts";
import { expectForbidden, expectInUse, type Lines } from "./line.ts";

const { TOTP, SMS, EMAIL, BACKUP_CODE, TEMPORARY_PASS } = FactorType;
const SMS_ON = { enabled: true, allowedCountries: ["DE"] };

const byApp = (app: { code(): Promise<string> }) => async () => ({
  case: "totpCode" as const,
  value: await app.code(),
});

async function enrolledNumber(service: ServiceUnderTest) {
  await switchOn(service);
  return enrollPhone(service, "ann");
}
const smsCode = (service: ServiceUnderTest) => async () => ({
  case: "smsCode" as const,
  value: await newestCode(service, "ann"),
});

/** Text messages and e-mail. */
const sent: Lines = {
  "sms.enabled": async (service) => {
    const { token } = await enrolledNumber(service);
    const forbid = () => setTenant(service, { sms: { enabled: false } });
    await expectForbidden(service, SMS, { answer: smsCode(service), forbid });
    expect((await failure(service.mfa.sendSmsCode({}, token))).reason).toBe("FACTOR_NOT_ALLOWED");
  },
  "sms.allowed_countries": async (service) => {
    const { token } = await enrolledNumber(service);
    const forbid = () => setTenant(service, { sms: { enabled: true, allowedCountries: ["US"] } });
    await expectForbidden(service, SMS, { answer: smsCode(service), forbid, reason: "DESTINATION_REFUSED" });
    service.pass(60_000);
    const refused = await failure(service.mfa.sendSmsCode({}, token));
    expect(refused).toMatchObject({
      reason: "DESTINATION_REFUSED",
      metadata: { policy: "sms.allowed_countries" },
    });
  },
  "sms.daily_budget": async (service) => {
    const { token } = await enrolledNumber(service);
    await setTenant(service, { sms: { ...SMS_ON, dailyBudget: 1 } });
    // The code of the enrollment was the one of the day.
    expect((await failure(service.mfa.sendSmsCode({}, token))).reason).toBe("RATE_LIMITED");
  },
  "sms.fraud_mode": async (service) => {
    const { token } = await enrolledNumber(service);
    await setTenant(service, { sms: { ...SMS_ON, dailyBudget: 1, fraudMode: FraudMode.RECORD_ONLY } });
    await service.mfa.sendSmsCode({}, token);
    await setTenant(service, { sms: { ...SMS_ON, dailyBudget: 1, fraudMode: FraudMode.DENY } });
    service.pass(60_000);
    expect((await failure(service.mfa.sendSmsCode({}, token))).reason).toBe("RATE_LIMITED");
  },
  "email.enabled": async (service) => {
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const begun = await begunLogIn(service, EMAIL, { allowedFactorTypes: [EMAIL] });
    const value = await newestCode(service, "ann");
    await setTenant(service, { email: { enabled: false } });
    expect((await failure(begun.prove({ case: "emailCode", value }))).reason).toBe("FACTOR_NOT_ALLOWED");
    expect((await failure(service.mfa.sendEmailCode({}, token))).reason).toBe("FACTOR_NOT_ALLOWED");
  },
  "email.allowed_domains": async (service) => {
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const begun = await begunLogIn(service, EMAIL, { allowedFactorTypes: [EMAIL] });
    const value = await newestCode(service, "ann");
    await setTenant(service, { email: { enabled: true, allowedDomains: ["example.org"] } });
    expect((await failure(begun.prove({ case: "emailCode", value }))).reason).toBe("DESTINATION_REFUSED");
    service.pass(60_000);
    const refused = await failure(service.mfa.sendEmailCode({}, token));
    expect(refused).toMatchObject({ reason: "DESTINATION_REFUSED", metadata: { policy: "email.allowed_domains" } });
  },
};

/** Authenticator apps. */
const apps: Lines = {
  "totp.issuer": async (service) => {
    const app = await enrollApp(service, "ann");
    await setTenant(service, { totp: { issuer: "Shop" } });
    await expectInUse(service, TOTP, byApp(app));
  },
  "totp.algorithm": async (service) => {
    const app = await enrollApp(service, "ann");
    await setTenant(service, { totp: { algorithm: TotpAlgorithm.SHA256 } });
    await expectInUse(service, TOTP, byApp(app));
  },
  "totp.digits": async (service) => {
    const app = await enrollApp(service, "ann");
    await setTenant(service, { totp: { digits: 8 } });
    await expectInUse(service, TOTP, byApp(app));
  },
  "totp.max_devices": async (service) => {
    await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    await setTenant(service, { totp: { maxDevices: 1 } });
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    expect((await failure(service.mfa.finishTotpEnrollment({ code }, token))).reason).toBe("LIMIT_REACHED");
  },
  "totp.strict_window": async (service) => {
    const app = await enrollApp(service, "ann");
    const begun = await begunLogIn(service, TOTP);
    await setTenant(service, { totp: { strictWindow: true } });
    service.pass(60_000);
    const value = await app.code(-30_000);
    expect((await failure(begun.prove({ case: "totpCode", value }))).reason).toBe("CODE_REJECTED");
  },
  lock_profile: async (service) => {
    const app = await enrollApp(service, "ann");
    const code = await wrongCode(app);
    const guess = async () => failure(service.mfa.verifyTotpCode({ code }, await service.user("ann")));
    for (let n = 0; n < 4; n++) await guess();
    await setTenant(service, { lockProfile: LockProfile.PCI });
    for (let n = 0; n < 6; n++) expect((await guess()).reason).toBe("CODE_REJECTED");
    expect((await guess()).reason).toBe("LOCKED");
  },
};

/** Backup codes and temporary passes. */
const spare: Lines = {
  "backup_codes.policy": async (service) => {
    const { setId, token, codes } = await enrollCodes(service, "ann");
    await setTenant(service, { backupCodes: { policy: BackupCodePolicy.REQUIRED } });
    const unproven = await failure(service.mfa.confirmBackupCodes({ setId }, token));
    expect(unproven).toMatchObject({ reason: "POLICY_FORBIDS", metadata: { policy: "backup_codes.policy" } });
    await service.mfa.confirmBackupCodes({ setId, code: codes[0] ?? "" }, token);
  },
  "backup_codes.code_count": async (service) => {
    const { token } = await enrollCodes(service, "ann");
    await setTenant(service, { backupCodes: { codeCount: 5 } });
    expect((await service.mfa.getBackupCodeCount({}, token)).count?.remaining).toBe(10);
    expect((await service.mfa.generateBackupCodes({}, token)).codes).toHaveLength(5);
  },
  "backup_codes.low_threshold": async (service) => {
    const { codes, token } = await enrollCodes(service, "ann");
    await service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token);
    expect((await service.mfa.getBackupCodeCount({}, token)).count?.shouldRegenerate).toBe(false);
    await setTenant(service, { backupCodes: { lowThreshold: 9 } });
    expect((await service.mfa.getBackupCodeCount({}, token)).count?.shouldRegenerate).toBe(true);
  },
  "backup_codes.restrict_session": async (service) => {
    const { codes } = await enrollCodes(service, "ann");
    const begun = await begunLogIn(service, BACKUP_CODE);
    await begun.prove({ case: "backupCode", value: codes[0] ?? "" });
    await setTenant(service, { backupCodes: { restrictSession: true } });
    expect((await begun.redeem()).restrictedSession).toBe(true);
  },
  "administration.deny_temporary_passes": async (service) => {
    await enrollApp(service, "ann");
    const deny = (denyTemporaryPasses: boolean) => setTenant(service, { administration: { denyTemporaryPasses } });
    const pass = await service.admin.issueTemporaryPass({ userId: "ann", reason: "lost" }, await adminOf(service));
    const answer = { case: "temporaryPass", value: pass.code } as const;
    const begun = await begunLogIn(service, TEMPORARY_PASS);
    await deny(true);
    const { factors } = await offeredTo(service);
    expect(factors.map(({ type }) => type)).toEqual([TOTP]);
    expect((await failure(begun.prove(answer))).reason).toBe("FACTOR_NOT_ALLOWED");
    await deny(false);
    await begun.prove(answer);
    await deny(true);
    expect((await failure(begun.redeem())).reason).toBe("FACTOR_NOT_ALLOWED");
  },
};

/** The lines of settings about codes. */
export const codeLines: Lines = { ...sent, ...apps, ...spare };
