import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { enrolApp } from "../support/authenticator.ts";
import { enrolCodes } from "../support/backup-codes.ts";
import { backendOf, inSession, totp } from "../support/challenges.ts";
import { failure, tally } from "../support/client.ts";
import { allowTrust } from "../support/clients.ts";
import { engines } from "../support/engines.ts";
import { rounds } from "../support/races.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/service.ts";

const MINUTE = 60_000;
const rpc = (name: string) => ({ type: "mfa.rpc", parameters: { name } });

/** Ann with an app and an aal1 token of one session. */
async function ann(service: ServiceUnderTest) {
  const app = await enrolApp(service, "ann");
  const token = await inSession(service, "ann", "one");
  const stepUp = async (name: string, more: object = {}) => {
    const request = { proof: totp(await app.code()), audience: "mfa", action: rpc(name), ...more };
    const { assertion } = await service.mfa.stepUp(request, token);
    service.pass(30_000);
    return { "mfa-assertion": assertion?.token ?? "" };
  };
  return { app, token, stepUp };
}

describe.each(engines)("step-up by assertion on $name", (engine) => {
  test("what is missing is said in a form that a program can act on", async () => {
    const service = await serviceForTest(engine);
    const { token } = await ann(service);
    const refused = await failure(service.mfa.generateBackupCodes({}, token));
    expect(refused).toMatchObject({
      code: status.UNAUTHENTICATED,
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
      metadata: { acr_values: "aal2", max_age: "300", challenge_hint: "mfa.rpc GenerateBackupCodes" },
    });
  });

  test("a code proves a user for one call of one RPC", async () => {
    const service = await serviceForTest(engine);
    const { token, stepUp } = await ann(service);
    const headers = await stepUp("GenerateBackupCodes");
    const { codes } = await service.mfa.generateBackupCodes({}, token, headers);
    expect(codes).toHaveLength(10);
    const again = await failure(service.mfa.generateBackupCodes({}, token, headers));
    expect(again).toMatchObject({ code: status.PERMISSION_DENIED, reason: "ASSERTION_REJECTED", metadata: {} });
    const list = await failure(service.mfa.listTotpDevices({}, token, await stepUp("GenerateBackupCodes")));
    expect(list.reason).toBe("ASSERTION_REJECTED");
  });

  test("of 100 concurrent calls with one assertion one is run", { repeats: rounds - 1 }, async () => {
    const service = await serviceForTest(engine);
    const { token, stepUp } = await ann(service);
    const headers = await stepUp("GenerateBackupCodes");
    const calls = Array.from({ length: 100 }, () => service.mfa.generateBackupCodes({}, token, headers));
    expect(await tally(calls)).toEqual({ OK: 1, ASSERTION_REJECTED: 99 });
  });

  test("an assertion of another session, user, audience or action, or one too old, opens nothing", async () => {
    const service = await serviceForTest(engine);
    const { token, stepUp } = await ann(service);
    const bob = await enrolApp(service, "bob");
    const list = async (as: string, headers: Record<string, string>) =>
      (await failure(service.mfa.generateBackupCodes({}, as, headers))).reason;
    const name = "GenerateBackupCodes";
    expect(await list(await inSession(service, "ann", "two"), await stepUp(name))).toBe("ASSERTION_REJECTED");
    expect(await list(bob.token, await stepUp(name))).toBe("ASSERTION_REJECTED");
    expect(await list(token, await stepUp(name, { audience: "shop" }))).toBe("ASSERTION_REJECTED");
    expect(await list(token, await stepUp(name, { action: undefined }))).toBe("ASSERTION_REJECTED");
    expect(await list(token, await stepUp(name, { nonce: "n" }))).toBe("ASSERTION_REJECTED");
    expect(await list(token, { "mfa-assertion": token })).toBe("ASSERTION_REJECTED");
    const late = await stepUp(name);
    service.pass(MINUTE + 30_000);
    expect(await list(token, late)).toBe("ASSERTION_REJECTED");
    // Whoever needs none is not asked for it.
    await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"), { "mfa-assertion": "junk" });
  });

  test("a challenge is answered and redeemed in one step, and its terms count", async () => {
    const service = await serviceForTest(engine);
    const { app, token } = await ann(service);
    const action = { type: "transfer.create", parameters: { amount: "10" } };
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop", nonce: "n", action };
    const { challenge } = await service.mfa.createChallenge({ terms }, token);
    const challengeId = challenge?.challengeId ?? "";
    const request = { proof: totp(await app.code()), challengeId, audience: "bank", nonce: "x" };
    const { assertion } = await service.mfa.stepUp(request, token);
    expect(assertion).toMatchObject({ acr: "aal2", actionBinding: ActionBinding.SERVER });
    const shop = await backendOf(service);
    const asked = { userId: "ann", token: assertion?.token ?? "", sessionId: "one", nonce: "n", action };
    expect((await service.internal.verifyAssertion(asked, shop)).claims).toMatchObject({
      audience: "shop",
      challengeId,
    });
    const after = await service.mfa.getChallenge({ challengeId }, token);
    expect(after.challenge?.state).toBe(ChallengeState.REDEEMED);
  });

  test("wrong and spent codes, and no audience, give no assertion", async () => {
    const service = await serviceForTest(engine);
    const { app, token } = await ann(service);
    const code = await app.code();
    const nobodys = await failure(service.mfa.stepUp({ proof: totp(code) }, token));
    expect(nobodys).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "audience" } });
    await service.mfa.stepUp({ proof: totp(code), audience: "shop" }, token);
    const spent = await failure(service.mfa.stepUp({ proof: totp(code), audience: "shop" }, token));
    expect(spent).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED" });
    const none = await failure(
      service.mfa.stepUp({ proof: totp(code), audience: "shop" }, await inSession(service, "eve", "one")),
    );
    expect(none.reason).toBe("NOT_ENROLLED");
  });

  test("a backup code raises no more than the tenant lets it, and never to trust a client", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    const { codes } = await enrolCodes(service, "ann");
    const token = await inSession(service, "ann", "one");
    const unused = [...codes];
    const stepUp = async (name: string) => {
      const proof = { kind: { case: "backupCode" as const, value: unused.pop() ?? "" } };
      const { assertion } = await service.mfa.stepUp({ proof, audience: "mfa", action: rpc(name) }, token);
      return { "mfa-assertion": assertion?.token ?? "" };
    };
    const revoke = async () => service.mfa.revokeAllTrustedDevices({}, token, await stepUp("RevokeAllTrustedDevices"));
    const refusal = { code: status.FAILED_PRECONDITION, reason: "FACTOR_NOT_ALLOWED" };
    const trust = service.mfa.trustDevice({}, token, await stepUp("TrustDevice"));
    expect(await failure(trust)).toMatchObject(refusal);
    await revoke();
    await setTenant(service, { backupCodes: { restrictSession: true } });
    service.pass(30_000);
    expect(await failure(revoke())).toMatchObject(refusal);
    // To enrol and to replace is what it is for.
    await service.mfa.startTotpEnrollment({}, token, await stepUp("StartTotpEnrollment"));
    await service.mfa.generateBackupCodes({}, token, await stepUp("GenerateBackupCodes"));
  });

  test("where policy wants the authenticator's signature a code will not do", async () => {
    const service = await serviceForTest(engine);
    const { app, token } = await ann(service);
    const admin = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.settings.write" } as const;
    const actions = [{ actionType: "pay", locale: "en", text: "Pay?", requireAuthenticatorBinding: true }];
    await service.admin.updateTenantSettings({ templates: { actions } }, await service.mint(admin));
    service.pass(30_000);
    const request = { proof: totp(await app.code()), audience: "shop", action: { type: "pay", parameters: {} } };
    expect((await failure(service.mfa.stepUp(request, token))).reason).toBe("FACTOR_NOT_ALLOWED");
  });
});
