import { createHash, createPrivateKey, generateKeyPairSync, type JsonWebKey, randomUUID, sign } from "node:crypto";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { createAssertionVerifier } from "../../src/client/assertion.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { backendOf } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { begunLogIn } from "../support/actors/log-in.ts";
import { enrollPhone, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { assertionOf, issuerOf, tokenFor } from "../support/actors/user-tokens.ts";
import { engines } from "../support/engine/engines.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const client = { ip: "203.0.113.7" };
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
const headerOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString());
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
const statusBy = (service: ServiceUnderTest, token: string) => service.mfa.getMfaStatus({}, token);
const refusal = async (call: Promise<unknown>) => (await failure(call)).reason;

/** Whether operators were told what ended a token. */
const saidEnd = ({ log }: ServiceUnderTest, why: string) =>
  log.some((line) => JSON.parse(line).msg === `token refused: a user token that has ended: ${why}`);

describe.each(engines)("user tokens on $name", (engine) => {
  test("a page whose application has no identity provider enrolls an app with one", async () => {
    const service = await serviceForTest(engine);
    const token = await tokenFor(service, "ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    expect(provisioning?.secret).not.toBe("");
    expect(headerOf(token)).toMatchObject({ typ: "mfa-user+jwt" });
    expect(claimsOf(token)).toMatchObject({ aud: "mfa-user", sub: "ann", tid: "dev", acr: "aal1", azp: "shop" });
  });

  test("is good for five minutes unless it is asked for another time, and never for more than fifteen", async () => {
    const service = await serviceForTest(engine);
    const usual = await tokenFor(service, "ann");
    const long = await tokenFor(service, "ann", "", { lifetime: { seconds: 900n } });
    expect(await refusal(tokenFor(service, "ann", "", { lifetime: { seconds: 901n } }))).toBe("INVALID_FIELD");
    service.pass(299_000);
    await statusBy(service, usual);
    service.pass(1_000);
    expect(await refusal(statusBy(service, usual))).toBe("INVALID_CREDENTIAL");
    service.pass(599_000);
    await statusBy(service, long);
    service.pass(1_000);
    expect(await refusal(statusBy(service, long))).toBe("INVALID_CREDENTIAL");
  });

  test("is aal2 only by an assertion of what was proved here, which it uses up", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const plain = await tokenFor(service, "ann");
    expect(await refusal(service.mfa.generateBackupCodes({}, plain))).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    const assertion = await assertionOf(service, app, { sessionId: "s1" });
    const token = await tokenFor(service, "ann", assertion, { sessionId: "s1" });
    expect(claimsOf(token)).toMatchObject({ acr: "aal2", sid: "s1" });
    expect((await service.mfa.generateBackupCodes({}, token)).codes).toHaveLength(10);
    expect(await refusal(tokenFor(service, "ann", assertion, { sessionId: "s1" }))).toBe("ASSERTION_REJECTED");
    expect(await eventsOf(service.store)).toContain("PROOF_REPLAYED REPLAYED");
  });

  test("takes no assertion of another user, session, backend, tenant or nonce, and none that has ended", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    await enrollApp(service, "bob");
    const assertion = await assertionOf(service, app, { sessionId: "s1" });
    const ask = (userId: string, sessionId: string, token: Promise<string>) =>
      token.then((by) =>
        refusal(
          service.internal.issueUserToken(
            { userId, client, sessionId, assertion, firstFactorTime: timestampFromDate(service.clock.now) },
            by,
          ),
        ),
      );
    expect(await ask("bob", "s1", issuerOf(service))).toBe("ASSERTION_REJECTED");
    expect(await ask("ann", "s2", issuerOf(service))).toBe("ASSERTION_REJECTED");
    expect(await ask("ann", "", issuerOf(service))).toBe("ASSERTION_REJECTED");
    expect(await ask("ann", "s1", issuerOf(service, "bank"))).toBe("ASSERTION_REJECTED");
    expect(await ask("ann", "s1", issuerOf(service, "shop", "other"))).toBe("ASSERTION_REJECTED");
    const withNonce = await assertionOf(service, app, { nonce: "n1" });
    expect(await refusal(tokenFor(service, "ann", withNonce))).toBe("ASSERTION_REJECTED");
    service.pass(121_000);
    expect(await ask("ann", "s1", issuerOf(service))).toBe("ASSERTION_REJECTED");
  });

  test("by a backup code it is aal1, as such a code counts for one RPC at a time", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const strong = await service.user("ann", "aal2");
    const { codes, setId } = await service.mfa.generateBackupCodes({}, strong);
    await service.mfa.confirmBackupCodes({ setId }, strong);
    const { prove, redeem } = await begunLogIn(service, FactorType.UNSPECIFIED);
    await prove({ case: "backupCode", value: codes[0] ?? "" });
    const { assertion } = await redeem();
    const { token, acr } = await service.internal.issueUserToken(
      {
        userId: "ann",
        client,
        assertion: assertion?.token ?? "",
        firstFactorTime: timestampFromDate(service.clock.now),
      },
      await issuerOf(service),
    );
    expect([acr, claimsOf(token).acr]).toEqual(["aal1", "aal1"]);
  });

  test("says when the user proved the first factor, and never later than now", async () => {
    const service = await serviceForTest(engine);
    const { now } = service.clock;
    const old = await tokenFor(service, "ann", "", { firstFactorTime: new Date(now.getTime() - 3_600_000) });
    expect(await refusal(service.mfa.startTotpEnrollment({}, old))).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    const ahead = await tokenFor(service, "ann", "", { firstFactorTime: new Date(now.getTime() + 30_000) });
    expect(claimsOf(ahead).auth_time * 1000).toBe(now.getTime());
    const future = tokenFor(service, "ann", "", { firstFactorTime: new Date(now.getTime() + 31_000) });
    expect(await failure(future)).toMatchObject({
      reason: "INVALID_FIELD",
      metadata: { field: "first_factor_time" },
    });
    const request = { userId: "ann", client };
    expect(await refusal(service.internal.issueUserToken(request, await issuerOf(service)))).toBe("INVALID_FIELD");
  });

  test("outlives an enrollment by its own page, and nothing that takes something away", async () => {
    const service = await serviceForTest(engine);
    const enrolling = await tokenFor(service, "ann");
    const app = await enrollApp(service, "ann");
    await statusBy(service, enrolling);
    const token = await tokenFor(service, "ann", await assertionOf(service, app));
    await statusBy(service, token);
    await service.mfa.disableTotpDevice({ deviceId: app.deviceId, confirmLastFactor: true }, token);
    expect(await refusal(statusBy(service, token))).toBe("INVALID_CREDENTIAL");
    expect(await refusal(statusBy(service, enrolling))).toBe("INVALID_CREDENTIAL");
    await statusBy(service, await tokenFor(service, "ann"));
  });

  test("ends when all trust in its user is revoked, though the user is not known otherwise", async () => {
    const service = await serviceForTest(engine);
    const token = await tokenFor(service, "ann");
    await statusBy(service, token);
    const request = { userId: "ann", reason: "new password" };
    await service.internal.revokeUserTrust(request, await service.backend("mfa.factors.write"));
    expect(await refusal(statusBy(service, token))).toBe("INVALID_CREDENTIAL");
    expect(saidEnd(service, "a factor or the trust of its user was taken away since")).toBe(true);
    await statusBy(service, await tokenFor(service, "ann"));
  });

  test("ends with a reset by an administrator", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const token = await tokenFor(service, "ann");
    const reset = { userId: "ann", factorType: FactorType.TOTP, reason: "lost phone" };
    await service.admin.resetUserFactor(reset, await adminOf(service));
    expect(await refusal(statusBy(service, token))).toBe("INVALID_CREDENTIAL");
    expect(saidEnd(service, "a factor or the trust of its user was taken away since")).toBe(true);
  });

  test("ends with its user's erasure, also for whoever comes anew under the same id", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const token = await tokenFor(service, "ann", await assertionOf(service, app), { lifetime: { seconds: 900n } });
    await statusBy(service, token);
    const erasure = { userId: "ann", erasureId: randomUUID() };
    await service.internal.eraseUser(erasure, await service.backend("mfa.erase"));
    expect(await refusal(statusBy(service, token))).toBe("INVALID_CREDENTIAL");
    expect(saidEnd(service, "its user was erased since")).toBe(true);
    expect(await refusal(tokenFor(service, "ann"))).toBe("CONFLICT");
    service.pass(61_000);
    await enrollApp(service, "ann");
    expect(await refusal(statusBy(service, token))).toBe("INVALID_CREDENTIAL");
    await statusBy(service, await tokenFor(service, "ann"));
  });

  test("at aal2 ends with a lock, and stays good at aal1", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const token = await tokenFor(service, "ann", await assertionOf(service, app));
    const weak = await tokenFor(service, "ann");
    const wrong = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code: wrong }, weak));
    expect(await refusal(statusBy(service, token))).toBe("INVALID_CREDENTIAL");
    expect(saidEnd(service, "its user was locked since")).toBe(true);
    await statusBy(service, weak);
  });

  test("at aal2 ends when the tenant switches the kind of factor off that proved it", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    service.pass(60_000);
    const { prove, redeem } = await begunLogIn(service, FactorType.SMS);
    await prove({ case: "smsCode", value: await newestCode(service, "ann") });
    const { assertion } = await redeem();
    const token = await tokenFor(service, "ann", assertion?.token);
    await statusBy(service, token);
    await setTenant(service, { sms: { enabled: false } });
    expect(await refusal(statusBy(service, token))).toBe("INVALID_CREDENTIAL");
    expect(saidEnd(service, "the kind of factor that it rests on is off in its tenant")).toBe(true);
  });

  test("is a user's credential, for no backend and no administrator, and no assertion", async () => {
    const service = await serviceForTest(engine);
    const token = await tokenFor(service, "ann");
    expect(await refusal(service.internal.getUserMfaStatus({ userId: "ann" }, token))).toBe("ACCESS_DENIED");
    expect(await refusal(service.admin.listServiceKeys({}, token))).toBe("ACCESS_DENIED");
    const shop = await backendOf(service);
    expect(await refusal(service.internal.verifyAssertion({ userId: "ann", token }, shop))).toBe("ASSERTION_REJECTED");
    const keySet = await (await fetch(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`)).json();
    const { keys } = keySet as { keys: (JsonWebKey & { kid: string })[] };
    const verify = createAssertionVerifier({
      ...{ issuer: "mfa-service", audience: "mfa-user", clock: () => service.clock.now },
      key: async (kid) => keys.find((key) => key.kid === kid),
      once: async () => true,
    });
    await expect(verify(token, { tenantId: "dev", userId: "ann", sessionId: "" })).rejects.toThrow("another type");
  });

  test("nobody makes one: by another key, a key that it brings along, none, another type or other claims", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const good = await tokenFor(service, "ann");
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const forged = (header: object, claims: object) => {
      const input = `${encode({ ...headerOf(good), ...header })}.${encode({ ...claimsOf(good), ...claims })}`;
      return `${input}.${sign(null, Buffer.from(input), createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" }))).toString("base64url")}`;
    };
    const [head, , tail] = good.split(".");
    const assertion = await assertionOf(service, app);
    const jwk = publicKey.export({ format: "jwk" });
    const attempts = [
      forged({}, { acr: "aal2" }),
      forged({ jwk }, {}),
      forged({ kid: createHash("sha256").update("x").digest("base64url") }, {}),
      forged({ alg: "none" }, {}),
      forged({ alg: "HS256" }, {}),
      forged({ crit: ["exp"] }, {}),
      forged({ typ: "at+jwt" }, { aud: "mfa" }),
      forged({ typ: "MFA-USER+JWT" }, {}),
      forged({ typ: "application/mfa-user+jwt" }, {}),
      `${head}.${encode({ ...claimsOf(good), acr: "aal2" })}.${tail}`,
      `${head}.${encode({ ...claimsOf(good), tid: "other" })}.${tail}`,
      `${good.slice(0, good.lastIndexOf("."))}.`,
      assertion,
    ];
    for (const attempt of attempts) expect(await refusal(statusBy(service, attempt))).toBe("INVALID_CREDENTIAL");
    await statusBy(service, good);
  });

  test("is bound to the tenant of its backend", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const firstFactorTime = timestampFromDate(service.clock.now);
    const other = await issuerOf(service, "shop", "other");
    const { token } = await service.internal.issueUserToken({ userId: "ann", client, firstFactorTime }, other);
    expect((await statusBy(service, token)).status?.enrolled).toBe(false);
  });

  test("is in the audit trail and the events of its user, without itself", async () => {
    const service = await serviceForTest(engine);
    const token = await tokenFor(service, "ann", "", { sessionId: "s1" });
    const { entries } = await service.admin.listConfigAuditLogs({}, await adminOf(service, "mfa.audit.read"));
    const entry = entries.find(({ action }) => action === "user_token.issued");
    expect(entry).toMatchObject({ userId: "ann", operatorId: "shop", targetId: claimsOf(token).jti });
    expect(await eventsOf(service.store)).toEqual(["USER_TOKEN_ISSUED UNSPECIFIED"]);
    expect(await tokenFor(service, "ann", "", { sessionId: "s1" })).not.toBe(token);
    const kept = service.log.join("\n");
    expect(kept).not.toContain(token.split(".")[2]);
  });
});
