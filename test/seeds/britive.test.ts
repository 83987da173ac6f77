import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { inSession, totp } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

describe.each(engines)("Britive's operations on $name", (engine) => {
  test("POST /api/mfa/register/{factor}: CHALLENGE with a key and a SHA-512 URI, REGISTERED after a code", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const request = { algorithm: TotpAlgorithm.SHA512 };
    const first = await service.mfa.startTotpEnrollment(request, token);
    const { device, provisioning } = await service.mfa.startTotpEnrollment(request, token);
    expect(provisioning?.otpauthUri).toContain("algorithm=SHA512");
    expect(provisioning?.secret).not.toBe(first.provisioning?.secret);
    const statusOf = async () =>
      (await service.mfa.getMfaStatus({ factorType: FactorType.TOTP }, token)).status?.factors;
    expect(await statusOf()).toMatchObject([{ enabled: false, pending: true }]);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now, device);
    await service.mfa.finishTotpEnrollment({ code }, token);
    expect(await statusOf()).toMatchObject([{ enabled: true, pending: false }]);
  });

  test("DELETE /api/mfa/register/{factor}/{credential}: the proof is no part of a path", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, "ann");
    // Reversed: a code in a URL ends in logs; a fresh second factor of the token stands in its place.
    const deletion = { factorType: FactorType.TOTP, confirmLastFactor: true };
    await service.mfa.deleteFactor(deletion, await service.user("ann", "aal2"));
    const { status } = await service.mfa.getMfaStatus({ factorType: FactorType.TOTP }, token);
    expect(status?.factors).toEqual([]);
  });

  test("GET /api/mfa/admin/registrations/{factor}/users/{userId}: another user's registration", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const claims = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" } as const;
    const token = await service.mint(claims);
    expect(await service.admin.getUserTotp({ userId: "ann" }, token)).toMatchObject({ enabled: true });
    expect(await service.admin.getUserTotp({ userId: "bob" }, token)).toMatchObject({ enabled: false, devices: [] });
  });

  test("DELETE /api/mfa/admin/registrations/{factor}/users/{userId}: who manages identities, not who views them", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const asked = { userId: "ann", factorType: FactorType.TOTP, reason: "lost phone" };
    const viewer = await failure(service.admin.resetUserFactor(asked, await adminOf(service, "mfa.read")));
    expect(viewer).toMatchObject({ reason: "ACCESS_DENIED" });
    await service.admin.resetUserFactor(asked, await adminOf(service, "mfa.reset"));
    const found = await service.admin.getUserTotp({ userId: "ann" }, await adminOf(service, "mfa.read"));
    expect(found).toMatchObject({ enabled: false, devices: [] });
  });

  test("GET /api/mfa/registrations and WEB_AUTHN as a factor: everything the user has", async () => {
    const service = await serviceForTest(engine);
    const { deviceId } = await enrollApp(service, "ann");
    const { credential, passkey, token } = await enrollPasskey(service, "ann");
    const { factors } = await service.mfa.listFactors({}, token);
    expect(factors.map(({ type, factorId }) => [type, factorId])).toEqual([
      [FactorType.WEBAUTHN, credential.credentialId],
      [FactorType.TOTP, deviceId],
    ]);
    const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, token);
    const signed = { ceremonyId, response: passkey.get(options) };
    expect((await service.mfa.finishWebAuthnAuthentication(signed, token)).userVerified).toBe(true);
  });

  test("POST /api/step-up/authenticate/{factor}: SUCCEEDED is an assertion, FAILED an error, CHALLENGE a hint", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "web");
    const failed = service.mfa.stepUp({ audience: "console", proof: totp(await wrongCode(app)) }, token);
    expect(await failure(failed)).toMatchObject({ reason: "CODE_REJECTED" });
    const { assertion } = await service.mfa.stepUp({ audience: "console", proof: totp(await app.code()) }, token);
    expect(assertion).toMatchObject({ acr: "aal2", amr: ["otp", "mfa"] });
    const hinted = await failure(service.mfa.generateBackupCodes({}, token));
    expect(hinted).toMatchObject({
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
      metadata: { acr_values: "aal2", challenge_hint: "mfa.rpc GenerateBackupCodes" },
    });
  });
});
