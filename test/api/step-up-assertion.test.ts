import { status } from "@grpc/grpc-js";
import { describe, expect, test, vi } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { allowTransfers, backendOf, inSession, totp } from "../support/actors/backend.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { enrollEmail, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { cheapPool } from "../support/engine/kdf.ts";
import { rounds } from "../support/engine/races.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const rpc = (name: string) => ({ type: "mfa.rpc", parameters: { name } });

/** Ann with an app and an aal1 token of one session. */
async function ann(service: ServiceUnderTest) {
  const app = await enrollApp(service, "ann");
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
    const bob = await enrollApp(service, "bob");
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

  test("an assertion lasts for two minutes, and for one where it is for an action", async () => {
    const service = await serviceForTest(engine);
    const { app, token } = await ann(service);
    await allowTransfers(service);
    const shop = await backendOf(service);
    const transfer = { type: "transfer.create", parameters: { amount: "10" } };
    for (const [seconds, action] of [
      [120, undefined],
      [60, transfer],
    ] as const) {
      const terms = { audience: "shop", ...(action && { action }) };
      const { assertion } = await service.mfa.stepUp({ proof: totp(await app.code()), ...terms }, token);
      const asked = { userId: "ann", token: assertion?.token ?? "", sessionId: "one", ...(action && { action }) };
      service.pass(seconds * 1000 - 1);
      await service.internal.verifyAssertion(asked, shop);
      service.pass(31_000); // with clocks half a minute apart
      expect((await failure(service.internal.verifyAssertion(asked, shop))).reason).toBe("ASSERTION_REJECTED");
    }
  });

  test("a challenge is answered and redeemed in one step, and its terms count", async () => {
    const service = await serviceForTest(engine);
    const { app, token } = await ann(service);
    await allowTransfers(service);
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
    const { codes } = await enrollCodes(service, "ann");
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
    // To enroll and to replace is what it is for.
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

  test("a refused call keeps its assertion, whichever unit refuses it, and a call that is done uses it up", async () => {
    const service = await serviceForTest(engine);
    const { app, token, stepUp } = await ann(service);
    const reasonOf = async (call: Promise<unknown>) => (await failure(call)).reason;

    const { deviceId } = app;
    const unknown = "01900000-0000-7000-8000-000000000000";
    const read = await stepUp("GetTotpDevice");
    expect(await reasonOf(service.mfa.getTotpDevice({ deviceId: unknown }, token, read))).toBe("NOT_FOUND");
    await service.mfa.getTotpDevice({ deviceId }, token, read);
    expect(await reasonOf(service.mfa.getTotpDevice({ deviceId }, token, read))).toBe("ASSERTION_REJECTED");

    const rename = await stepUp("UpdateTotpDevice");
    const update = (displayName: string, version: bigint) =>
      service.mfa.updateTotpDevice({ deviceId, displayName, version }, token, rename);
    expect(await reasonOf(update("Mine", 7n))).toBe("STALE_VERSION");
    await update("Mine", 1n);
    expect(await reasonOf(update("Yours", 2n))).toBe("ASSERTION_REJECTED");

    const resync = await stepUp("ResyncTotpDevice");
    const pair = (firstCode: string, secondCode: string) =>
      service.mfa.resyncTotpDevice({ deviceId, firstCode, secondCode }, token, resync);
    const wrong = await wrongCode(app);
    expect(await reasonOf(pair(wrong, wrong))).toBe("CODE_REJECTED");
    await pair(await app.code(), await app.code(30_000));
    service.pass(60_000);

    const remove = await stepUp("DeleteFactor");
    const forget = (confirmLastFactor: boolean) =>
      service.mfa.deleteFactor({ factorType: FactorType.TOTP, confirmLastFactor }, token, remove);
    expect(await reasonOf(forget(false))).toBe("LAST_FACTOR");
    await forget(true);
  });

  test("an assertion from before a lock or a change of factors raises no call", async () => {
    const service = await serviceForTest(engine);
    const { app, token, stepUp } = await ann(service);
    const before = await stepUp("GenerateBackupCodes");
    await enrollApp(service, "ann", "aal2");
    const stale = await failure(service.mfa.generateBackupCodes({}, token, before));
    expect(stale.reason).toBe("ASSERTION_REJECTED");
    const open = await stepUp("GenerateBackupCodes");
    service.pass(1_000);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code: await wrongCode(app) }, token));
    service.pass(1_000);
    const locked = await failure(service.mfa.generateBackupCodes({}, token, open));
    expect(locked.reason).toBe("ASSERTION_REJECTED");
  });

  test("a lock that comes while a raised call is under way stops it before it keeps anything", async () => {
    const pool = cheapPool();
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let asked = 0;
    const derive = async (code: string, salt: Uint8Array) => {
      asked++;
      await gate;
      return pool.derive(code, salt);
    };
    const service = await serviceForTest(engine, { kdf: { enter: pool.enter, derive } });
    const { app, token, stepUp } = await ann(service);
    const headers = await stepUp("GenerateBackupCodes");
    const generating = failure(service.mfa.generateBackupCodes({}, token, headers));
    await vi.waitUntil(() => asked > 0);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code: await wrongCode(app) }, token));
    open();
    expect((await generating).reason).toBe("ASSERTION_REJECTED");
    const { count } = await service.mfa.getBackupCodeCount({}, await service.user("ann", "aal2"));
    expect(count?.total).toBe(0);
  });

  test("a code by e-mail, which is worth aal1, raises no call", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "one");
    const { EMAIL } = FactorType;
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "mfa", action: rpc("GenerateBackupCodes") };
    const asked = { terms: { ...terms, allowedFactorTypes: [EMAIL] }, prepareFactorType: EMAIL };
    const { challenge } = await service.mfa.createChallenge(asked, token);
    const value = await newestCode(service, "ann");
    const proof = { kind: { case: "emailCode" as const, value } };
    const challengeId = challenge?.challengeId ?? "";
    const { assertion } = await service.mfa.stepUp({ proof, challengeId, audience: "mfa" }, token);
    expect(assertion?.acr).toBe("aal1");
    const headers = { "mfa-assertion": assertion?.token ?? "" };
    const refused = await failure(service.mfa.generateBackupCodes({}, token, headers));
    expect(refused.reason).toBe("ASSERTION_REJECTED");
  });

  test("an assertion that was used up and comes again is told in an event, here and from backends", async () => {
    const service = await serviceForTest(engine);
    const { app, token, stepUp } = await ann(service);
    const replays = async () =>
      (await eventsOf(service.store)).filter((one) => one === "PROOF_REPLAYED REPLAYED").length;
    const headers = await stepUp("GenerateBackupCodes");
    await service.mfa.generateBackupCodes({}, token, headers);
    expect(await replays()).toBe(0);
    await failure(service.mfa.generateBackupCodes({}, token, headers));
    expect(await replays()).toBe(1);
    const { assertion } = await service.mfa.stepUp({ proof: totp(await app.code()), audience: "shop" }, token);
    const asked = { userId: "ann", token: assertion?.token ?? "", sessionId: "one", consume: true };
    const shop = await backendOf(service);
    await service.internal.verifyAssertion(asked, shop);
    expect(await replays()).toBe(1);
    const again = await failure(service.internal.verifyAssertion(asked, shop));
    expect(again.reason).toBe("ASSERTION_REJECTED");
    expect(await replays()).toBe(2);
  });
});
