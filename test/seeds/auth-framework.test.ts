import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { enrolApp, showCode } from "../support/authenticator.ts";
import { failure } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { serviceForTest } from "../support/service.ts";

describe.each(engines)("auth-framework's TOTP operations on $name", (engine) => {
  test("setupMFA and verifyMFA: a secret and its URI, in force after a six-digit code within ten minutes", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning, expireTime } = await service.mfa.startTotpEnrollment({}, token);
    expect(provisioning?.otpauthUri).toContain(`secret=${provisioning?.secret}`);
    expect(Number(expireTime?.seconds) * 1000 - service.clock.now.getTime()).toBe(600_000);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, token);
    expect((await service.mfa.getMfaStatus({}, token)).status?.enrolled).toBe(true);
  });

  test("getMFAStatus: enabled, methods, backup_codes_remaining", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrolApp(service, "ann");
    const { status } = await service.mfa.getMfaStatus({}, token);
    expect(status).toMatchObject({ enrolled: true, factors: [{ type: FactorType.TOTP }], backupCodesRemaining: 0 });
  });

  test("disableMFA: two proofs, the password's and the code's, as a token that states both", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrolApp(service, "ann");
    const request = { confirmLastFactor: true };
    expect(await failure(service.mfa.disableTotp(request, token))).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
    });
    await service.mfa.disableTotp(request, await service.user("ann", "aal2"));
    expect((await service.mfa.getMfaStatus({}, token)).status?.enrolled).toBe(false);
  });
});
