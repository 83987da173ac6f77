import { describe, expect, test } from "vitest";
import { FactorType, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import { BackupCodePolicy } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { enrollApp, showCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { makePasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const { OPTIONAL, PROMPT, REQUIRED } = BackupCodePolicy;
const { GENERATE_BACKUP_CODES, CONFIRM_BACKUP_CODES } = Recommendation;

async function governed(engine: EngineUnderTest, policy: BackupCodePolicy) {
  const service = await serviceForTest(engine);
  await setTenant(service, { backupCodes: { policy } });
  return service;
}
const recommended = async (service: ServiceUnderTest, user = "ann") =>
  (await service.mfa.getMfaStatus({}, await service.user(user))).status?.recommendations ?? [];

/** How each kind enrolls as the first factor of a user, without asking for codes. */
const enrollments: Record<
  string,
  (service: ServiceUnderTest, user: string) => Promise<{ backupCodes: string[]; backupCodeSetId: string }>
> = {
  "an app": async (service, user) => {
    const token = await service.user(user);
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    return service.mfa.finishTotpEnrollment({ code }, token);
  },
  "a passkey": async (service, user) => {
    const token = await service.user(user);
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    return service.mfa.finishWebAuthnRegistration({ ceremonyId, response: makePasskey().create(options) }, token);
  },
  "a number": async (service, user) => {
    await switchOn(service);
    const token = await service.user(user);
    const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token);
    const code = await newestCode(service, user);
    return service.mfa.finishSmsEnrollment({ challengeId: delivery?.challengeId ?? "", code }, token);
  },
};

describe.each(engines)("the tenant's policy for backup codes on $name", (engine) => {
  test.each(Object.entries(enrollments))(
    "required, codes are made with %s that is the first factor",
    async (_, enroll) => {
      const service = await governed(engine, REQUIRED);
      const { backupCodes, backupCodeSetId: setId } = await enroll(service, "ann");
      expect(backupCodes).toHaveLength(10);
      expect(await recommended(service)).toContain(CONFIRM_BACKUP_CODES);
      const token = await service.user("ann", "aal2");
      const bare = await failure(service.mfa.confirmBackupCodes({ setId }, token));
      expect(bare.reason).toBe("POLICY_FORBIDS");
      await service.mfa.confirmBackupCodes({ setId, code: backupCodes[0] ?? "" }, token);
      expect(await recommended(service)).not.toContain(CONFIRM_BACKUP_CODES);
    },
  );

  test("required, a second factor of a user with codes makes none, and a phone has them recommended", async () => {
    const service = await governed(engine, REQUIRED);
    await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    const before = (await service.mfa.getBackupCodeCount({}, token)).count;
    expect(before?.remaining).toBe(10);
    await enrollApp(service, "ann", "aal2");
    expect((await service.mfa.getBackupCodeCount({}, token)).count).toEqual(before);
    await switchPushOn(service);
    await pairPhone(service, "bob");
    expect(await recommended(service, "bob")).toContain(GENERATE_BACKUP_CODES);
  });

  test("optional, codes are made when they are asked for and recommended to nobody", async () => {
    const service = await governed(engine, OPTIONAL);
    await enrollApp(service, "ann");
    expect(await recommended(service)).not.toContain(GENERATE_BACKUP_CODES);
    const { status } = await service.mfa.getMfaStatus({}, await service.user("ann"));
    expect(status?.enrollableTypes).toContain(FactorType.BACKUP_CODE);
    await setTenant(service, { backupCodes: { policy: PROMPT } });
    expect(await recommended(service)).toContain(GENERATE_BACKUP_CODES);
  });
});
