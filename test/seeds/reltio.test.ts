import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { showCode } from "../support/authenticator.ts";
import { engines } from "../support/engines.ts";
import { serviceForTest } from "../support/service.ts";

describe.each(engines)("Reltio's TOTP operations on $name", (engine) => {
  test("associateQRCode, verifyQRCodeEnroll, mfaDetails: a picture, its code, what is available and verified", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    expect(
      Buffer.from(provisioning?.qrPng ?? [])
        .subarray(1, 4)
        .toString(),
    ).toBe("PNG");
    const details = async () => (await service.mfa.getMfaStatus({}, token)).status;
    expect((await details())?.enrollableTypes).toContain(FactorType.TOTP);
    expect((await details())?.factors).toMatchObject([{ type: FactorType.TOTP, enabled: false }]);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, token);
    expect((await details())?.factors).toMatchObject([{ type: FactorType.TOTP, enabled: true }]);
  });

  test("resetMyQRCodeEnroll: the user's own token resets it, where a client's password did", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, token);
    const deletion = { factorType: FactorType.TOTP, confirmLastFactor: true };
    const { deletedCount } = await service.mfa.deleteFactor(deletion, await service.user("ann", "aal2"));
    expect(deletedCount).toBe(1);
  });
});
