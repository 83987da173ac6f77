import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { enrollApp, showCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, redeem } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

describe.each(engines)("auth-framework's operations on $name", (engine) => {
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
    const { token } = await enrollApp(service, "ann");
    const { status } = await service.mfa.getMfaStatus({}, token);
    expect(status).toMatchObject({ enrolled: true, factors: [{ type: FactorType.TOTP }], backupCodesRemaining: 0 });
  });

  test("disableMFA: two proofs, the password's and the code's, as a token that states both", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    const request = { confirmLastFactor: true };
    expect(await failure(service.mfa.disableTotp(request, token))).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
    });
    await service.mfa.disableTotp(request, await service.user("ann", "aal2"));
    expect((await service.mfa.getMfaStatus({}, token)).status?.enrolled).toBe(false);
  });

  test("regenerateBackupCodes: a new set in the place of the old, after a fresh second factor", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    // Reversed: it asks for no proof there.
    expect(await failure(service.mfa.generateBackupCodes({}, token))).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
    });
    const first = await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    service.pass(1000);
    const second = await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    expect(second.codes).toHaveLength(first.codes.length);
    const old = service.mfa.verifyBackupCode({ code: first.codes[0] ?? "" }, token);
    expect(await failure(old)).toMatchObject({ reason: "CODE_REJECTED" });
  });

  test("verifyBackupCode: good once", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    const { codes } = await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    const verify = () => service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token);
    expect((await verify()).count?.remaining).toBe(codes.length - 1);
    expect(await failure(verify())).toMatchObject({ reason: "CODE_REJECTED" });
    const { status } = await service.mfa.getMfaStatus({}, token);
    expect(status?.backupCodesRemaining).toBe(codes.length - 1);
  });

  test("POST /auth/login with challenge_id and mfa_code: a challenge, answered, redeemed once", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend, { sessionId: "s" });
    const answered = await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(answered.challenge?.state).toBe(ChallengeState.PROVEN);
    // Reversed: who knows the challenge's id has not logged in; the backend redeems it for its own session.
    const { assertion } = await redeem(service, backend, { challengeId, sessionId: "s" });
    expect(assertion).toMatchObject({ acr: "aal2", amr: ["otp", "mfa"] });
    expect(await failure(redeem(service, backend, { challengeId, sessionId: "s" }))).toMatchObject({
      reason: "CHALLENGE_EXPIRED",
    });
  });
});
