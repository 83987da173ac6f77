import { createHash, generateKeyPairSync, randomUUID, sign as signBytes } from "node:crypto";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { createLocalJWKSet, createRemoteJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { AssertionRejected, createAssertionVerifier, remoteKeys } from "../../src/client/assertion.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { createTasks } from "../../src/tasks.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, logIn, redeem } from "../support/actors/backend.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { enrollPhone, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { rounds } from "../support/engine/races.ts";
import { instanceOn } from "../support/worlds/schedule.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const action = { type: "transfer.create", parameters: { amount: "10", to: "Bob" } };

/** Ann's challenge of the shop, proven. */
async function proven(service: ServiceUnderTest, terms: object = {}) {
  const app = await enrollApp(service, "ann");
  const backend = await backendOf(service);
  const challengeId = await createFor(service, "ann", backend, terms);
  await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
  return { app, backend, challengeId };
}

/** A backend's verifier, with the keys of the gateway. */
const verifierOf = (service: ServiceUnderTest, audience = "shop") => {
  const used = new Set<string>();
  return createAssertionVerifier({
    ...{ issuer: "mfa-service", audience, clock: () => service.clock.now },
    key: remoteKeys(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`, fetch, () => service.clock.now),
    once: async (id) => used.size < used.add(id).size,
  });
};
const forAnn = { tenantId: "dev", userId: "ann", sessionId: "" };

describe.each(engines)("assertions on $name", (engine) => {
  test("a proven challenge is redeemed once, for an assertion that the backend verifies by itself", async () => {
    const service = await serviceForTest(engine);
    const { app, backend, challengeId } = await proven(service, { sessionId: "s", nonce: "n" });
    service.pass(1000);
    const request = { challengeId, sessionId: "s", nonce: "n" };
    const reply = await redeem(service, backend, request);
    expect(reply).toMatchObject({
      factorType: FactorType.TOTP,
      factorId: app.deviceId,
      restrictedSession: false,
      mfaEpoch: 1n,
      assertion: { acr: "aal2", amr: ["otp", "mfa"], actionBinding: ActionBinding.NONE },
    });
    const token = reply.assertion?.token ?? "";
    const verify = verifierOf(service);
    const seconds = Math.floor(service.clock.now.getTime() / 1000);
    const claims = await verify(token, { ...forAnn, sessionId: "s", nonce: "n" });
    expect(claims).toEqual({
      ...{ iss: "mfa-service", aud: "shop", sub: "ann", tid: "dev", acr: "aal2", amr: ["otp", "mfa"], nonce: "n" },
      sid: createHash("sha256").update("s").digest("base64url"),
      ...{ iat: seconds, nbf: seconds, exp: seconds + 120, auth_time: seconds - 1 },
      ...{ jti: expect.stringMatching(/^[\w-]{22}$/), pur: "log_in", pol: 0, cid: challengeId },
    });
    await expect(verify(token, { ...forAnn, sessionId: "s", nonce: "n" })).rejects.toBeInstanceOf(AssertionRejected);
    expect((await failure(redeem(service, backend, request))).reason).toBe("CHALLENGE_EXPIRED");
    const after = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(after.challenge?.state).toBe(ChallengeState.REDEEMED);
  });

  test("a challenge that is not proven, not the backend's, or not for this request is not redeemed", async () => {
    const service = await serviceForTest(engine);
    const { backend, challengeId } = await proven(service, { sessionId: "s", nonce: "n", action });
    const request = { challengeId, sessionId: "s", nonce: "n", action };
    const pending = await createFor(service, "ann", backend);
    expect(await failure(redeem(service, backend, { challengeId: pending }))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      reason: "WRONG_STATE",
      metadata: { state: "PENDING" },
    });
    for (const token of [await backendOf(service, "bank"), await backendOf(service, "shop", "other")]) {
      expect((await failure(redeem(service, token, request))).reason).toBe("NOT_FOUND");
    }
    expect((await failure(redeem(service, backend, { ...request, userId: "bob" }))).reason).toBe("NOT_FOUND");
    const { action: _, ...withoutAction } = request;
    for (const other of [
      { ...request, sessionId: "t" },
      { ...request, sessionId: "" },
      { ...request, nonce: "" },
      withoutAction,
      { ...request, action: { ...action, type: "transfer.cancel" } },
      { ...request, action: { ...action, parameters: { ...action.parameters, amount: "1000" } } },
    ]) {
      const refused = await failure(redeem(service, backend, other));
      expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "ASSERTION_REJECTED" });
    }
    const { assertion } = await redeem(service, backend, request);
    expect(assertion?.actionBinding).toBe(ActionBinding.SERVER);
    const asked = { userId: "ann", token: assertion?.token ?? "", sessionId: "s", nonce: "n", action };
    const unbound = { ...asked, actionBinding: ActionBinding.NONE };
    expect((await failure(service.internal.verifyAssertion(unbound, backend))).reason).toBe("ASSERTION_REJECTED");
    await service.internal.verifyAssertion({ ...asked, actionBinding: ActionBinding.SERVER }, backend);
    const verify = verifierOf(service);
    const expected = { ...forAnn, sessionId: "s", nonce: "n" };
    const altered = { ...action, parameters: { ...action.parameters, to: "Eve" } };
    await expect(verify(assertion?.token ?? "", { ...expected, action: altered })).rejects.toThrow("another action");
    await expect(verify(assertion?.token ?? "", { ...expected, action })).resolves.toMatchObject({ bnd: "server" });
  });

  test.each([
    [
      "a lock",
      async (service: ServiceUnderTest, code: string, backend: string) => {
        for (let n = 0; n < 5; n++)
          await failure(service.internal.verifyUserTotpCode({ userId: "ann", code }, backend));
      },
    ],
    [
      "a change of factors",
      async (service: ServiceUnderTest) => {
        await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
      },
    ],
    ["the end of its time", async (service: ServiceUnderTest) => service.pass(5 * MINUTE)],
    [
      "a cancellation",
      async (service: ServiceUnderTest, _: string, backend: string, challengeId: string) => {
        await service.internal.cancelUserChallenge({ userId: "ann", challengeId }, backend);
      },
    ],
  ])("between proof and redemption %s ends it", async (_, happen) => {
    const service = await serviceForTest(engine);
    const { app, backend, challengeId } = await proven(service);
    service.pass(1000);
    await happen(service, await wrongCode(app), backend, challengeId);
    expect((await failure(redeem(service, backend, { challengeId }))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("between proof and redemption the very factor that proved it may go, and another does not stand in", async () => {
    const service = await serviceForTest(engine);
    const { app, backend, challengeId } = await proven(service);
    await enrollPasskey(service, "ann");
    const second = await createFor(service, "ann", backend);
    service.pass(30_000);
    await answer(service, backend, { userId: "ann", challengeId: second, code: await app.code() });
    await service.mfa.revokeTotpDevice({ deviceId: app.deviceId }, await service.user("ann", "aal2"));
    for (const id of [challengeId, second]) {
      expect((await failure(redeem(service, backend, { challengeId: id }))).reason).toBe("CHALLENGE_EXPIRED");
    }
  });

  test("between proof and redemption the tenant may turn the factor off, or ask for a signature of the action", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const app = await enrollApp(service, "ann");
    await enrollPhone(service, "ann");
    const backend = await backendOf(service);
    const request = { ...logIn("ann"), prepareFactorType: FactorType.SMS };
    const sent = (await service.internal.createUserChallenge(request, backend)).challenge?.challengeId ?? "";
    const proof = { kind: { case: "smsCode", value: await newestCode(service, "ann") } } as const;
    const byPhone = { userId: "ann", challengeId: sent, proof, client: { ip: "203.0.113.7" } };
    await service.internal.verifyUserChallenge(byPhone, backend);
    const [pending, paid] = [
      await createFor(service, "ann", backend, { action }),
      await createFor(service, "ann", backend, { action }),
    ];
    await answer(service, backend, { userId: "ann", challengeId: paid, code: await app.code() });
    const actions = [{ actionType: action.type, locale: "en", text: "Pay?", requireAuthenticatorBinding: true }];
    await setTenant(service, { templates: { actions } });
    service.pass(30_000);
    const late = answer(service, backend, { userId: "ann", challengeId: pending, code: await app.code() });
    expect((await failure(late)).reason).toBe("FACTOR_NOT_ALLOWED");
    const redeeming = redeem(service, backend, { challengeId: paid, action });
    expect((await failure(redeeming)).reason).toBe("FACTOR_NOT_ALLOWED");
    await setTenant(service, { sms: { enabled: false } });
    service.pass(30_000);
    const off = redeem(service, backend, { challengeId: sent });
    expect((await failure(off)).reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("of 100 concurrent redemptions one succeeds", { repeats: rounds - 1 }, async () => {
    const service = await serviceForTest(engine);
    const { backend, challengeId } = await proven(service);
    const counts = await tally(Array.from({ length: 100 }, () => redeem(service, backend, { challengeId })));
    expect(counts).toEqual({ OK: 1, CHALLENGE_EXPIRED: 99 });
  });

  test("the service itself verifies, and of 100 concurrent consumptions one succeeds", {
    repeats: rounds - 1,
  }, async () => {
    const service = await serviceForTest(engine);
    const { backend, challengeId } = await proven(service);
    const { assertion } = await redeem(service, backend, { challengeId });
    const request = { userId: "ann", token: assertion?.token ?? "" };
    const { claims } = await service.internal.verifyAssertion(request, backend);
    expect(claims).toMatchObject({ audience: "shop", userId: "ann", tenantId: "dev", acr: "aal2", challengeId });
    const consume = () => service.internal.verifyAssertion({ ...request, consume: true }, backend);
    expect(await tally(Array.from({ length: 100 }, consume))).toEqual({ OK: 1, ASSERTION_REJECTED: 99 });
    expect((await failure(service.internal.verifyAssertion(request, backend))).reason).toBe("ASSERTION_REJECTED");
  });

  test("the service refuses what another is for, what is worth too little, and what events have ended", async () => {
    const service = await serviceForTest(engine);
    const { app, backend, challengeId } = await proven(service);
    const { assertion } = await redeem(service, backend, { challengeId });
    const request = { userId: "ann", token: assertion?.token ?? "" };
    const bank = await backendOf(service, "bank");
    for (const [asked, token] of [
      [request, bank],
      [request, await backendOf(service, "shop", "other")],
      [{ ...request, userId: "bob" }, backend],
      [{ ...request, sessionId: "s" }, backend],
      [{ ...request, nonce: "n" }, backend],
      [{ ...request, action }, backend],
      [{ ...request, token: app.token }, backend],
      [{ ...request, strength: AuthenticationStrength.PHISHING_RESISTANT }, backend],
      [{ ...request, actionBinding: ActionBinding.AUTHENTICATOR }, backend],
      [{ ...request, actionBinding: ActionBinding.SERVER }, backend],
    ] as const) {
      const refused = await failure(service.internal.verifyAssertion(asked, token));
      expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "ASSERTION_REJECTED", metadata: {} });
    }
    await service.internal.verifyAssertion({ ...request, strength: AuthenticationStrength.UNRESTRICTED }, backend);
    await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    expect((await failure(service.internal.verifyAssertion(request, backend))).reason).toBe("ASSERTION_REJECTED");
  });

  test("an assertion states session and action by their digests, lives two minutes, one with an action, and has an age", async () => {
    const service = await serviceForTest(engine);
    const { app, backend, challengeId } = await proven(service, { sessionId: "s", action });
    const asked = { userId: "ann", sessionId: "s", action };
    const { assertion } = await redeem(service, backend, { challengeId, sessionId: "s", action });
    const verify = async (more: object = {}, token = assertion?.token ?? "") =>
      (await service.internal.verifyAssertion({ ...asked, token, ...more }, backend)).claims;
    const claims = await verify();
    const sha256 = (text: string) => new Uint8Array(createHash("sha256").update(text).digest());
    const canonical = '{"parameters":{"amount":"10","to":"Bob"},"type":"transfer.create"}';
    const lifeOf = (one: typeof claims) => Number((one?.expireTime?.seconds ?? 0n) - (one?.issueTime?.seconds ?? 0n));
    expect(claims?.assertionId).toMatch(/^[\w-]{22}$/);
    expect([claims?.sessionDigest, claims?.actionDigest].map((one) => Buffer.from(one ?? []).toString("hex"))).toEqual(
      [sha256("s"), sha256(canonical)].map((one) => Buffer.from(one).toString("hex")),
    );
    expect(lifeOf(claims)).toBe(60);
    service.pass(30_000);
    const age = (seconds: bigint) => ({ maxAge: { seconds, nanos: 0 } });
    expect((await failure(verify(age(29n)))).reason).toBe("ASSERTION_REJECTED");
    await verify(age(40n));

    const plain = await createFor(service, "ann", backend);
    await answer(service, backend, { userId: "ann", challengeId: plain, code: await app.code() });
    const { assertion: other } = await redeem(service, backend, { challengeId: plain });
    const bare = await verify({ sessionId: "", action: undefined }, other?.token);
    expect([bare?.sessionDigest.length, bare?.actionDigest.length, lifeOf(bare)]).toEqual([0, 0, 120]);
  });

  test.each([
    [
      "locked",
      async ({ internal }: ServiceUnderTest, code: string, backend: string) => {
        for (let n = 0; n < 5; n++) await failure(internal.verifyUserTotpCode({ userId: "ann", code }, backend));
      },
    ],
    [
      "reset",
      async (service: ServiceUnderTest) =>
        void (await service.admin.resetUserMfa({ userId: "ann", reason: "lost phone" }, await adminOf(service))),
    ],
    [
      "erased",
      async (service: ServiceUnderTest) => {
        const request = { userId: "ann", erasureId: randomUUID() };
        await service.internal.eraseUser(request, await service.backend("mfa.erase"));
        service.pass(60_000);
      },
    ],
  ])("what was stated of a user is taken no more once they were %s", async (_, happen) => {
    const service = await serviceForTest(engine);
    const { app, backend, challengeId } = await proven(service);
    const { assertion } = await redeem(service, backend, { challengeId });
    const verify = () => service.internal.verifyAssertion({ userId: "ann", token: assertion?.token ?? "" }, backend);
    await verify();
    service.pass(1000);
    await happen(service, await wrongCode(app), backend);
    expect((await failure(verify())).reason).toBe("ASSERTION_REJECTED");
  });

  test("an access token is no assertion and an assertion no access token", async () => {
    const service = await serviceForTest(engine);
    const { backend, challengeId } = await proven(service);
    const { assertion } = await redeem(service, backend, { challengeId });
    const refused = await failure(service.mfa.getMfaStatus({}, assertion?.token));
    expect(refused).toMatchObject({ code: status.UNAUTHENTICATED, reason: "INVALID_CREDENTIAL" });
    await expect(verifierOf(service)(backend, forAnn)).rejects.toThrow("another type");
  });

  test("keys change with overlap: published before they sign, and until nothing of theirs is good", async () => {
    const service = await serviceForTest(engine);
    const { app, backend } = await proven(service);
    const keySet = async () => {
      const { jwks, maxAge } = await service.internal.getJwks({}, await backendOf(service));
      expect(maxAge?.seconds).toBe(600n);
      const published = (jwks?.keys ?? []) as { kid: string; [name: string]: string }[];
      // The audit trail's own keys stand beside them.
      return published.filter(({ kid }) => !kid.includes("audit"));
    };
    const kidOf = async () => {
      const token = await backendOf(service);
      const challengeId = await createFor(service, "ann", token);
      await answer(service, token, { userId: "ann", challengeId, code: await app.code() });
      const { assertion } = await redeem(service, token, { challengeId });
      return JSON.parse(Buffer.from(assertion?.token.split(".")[0] ?? "", "base64url").toString()).kid;
    };
    expect(backend).toBeTruthy();
    const [first] = await keySet();
    service.pass(90 * DAY - DAY);
    const [, second, ...more] = await keySet();
    expect(more).toEqual([]);
    expect(await kidOf()).toBe(first?.kid);
    service.pass(DAY - 1000);
    expect(await kidOf()).toBe(first?.kid);
    service.pass(MINUTE);
    expect(await kidOf()).toBe(second?.kid);
    expect(await keySet()).toHaveLength(2);
    service.pass(20 * MINUTE);
    expect((await keySet()).map(({ kid }) => kid)).toEqual([second?.kid]);
    for (const key of [first, second])
      expect(Object.keys(key ?? {}).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
  });

  test("an independent library verifies it by the keys of the gateway, and by those of the RPC", async () => {
    const service = await serviceForTest(engine);
    const { backend, challengeId } = await proven(service, { sessionId: "s", nonce: "n" });
    const { assertion } = await redeem(service, backend, { challengeId, sessionId: "s", nonce: "n" });
    const remote = createRemoteJWKSet(new URL(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`));
    const { jwks } = await service.internal.getJwks({}, backend);
    const local = createLocalJWKSet(jwks as unknown as JSONWebKeySet);
    const expected = { issuer: "mfa-service", audience: "shop", typ: "mfa-assertion+jwt", algorithms: ["EdDSA"] };
    for (const keys of [remote, local]) {
      const currentDate = service.clock.now;
      const { payload } = await jwtVerify(assertion?.token ?? "", keys, { ...expected, currentDate });
      expect(payload).toMatchObject({ sub: "ann", tid: "dev", acr: "aal2", amr: ["otp", "mfa"], nonce: "n" });
    }
  });

  test("after a backup code the session is limited where the tenant says so, and its assertion says what it was", async () => {
    for (const restrictSession of [true, false]) {
      const service = await serviceForTest(engine);
      await setTenant(service, { backupCodes: { restrictSession } });
      const { app, codes } = await enrollCodes(service, "ann");
      const backend = await backendOf(service);
      const client = { ip: "203.0.113.7" };
      const challengeId = await createFor(service, "ann", backend);
      const proof = { kind: { case: "backupCode", value: codes[0] ?? "" } } as const;
      await service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, backend);
      const reply = await redeem(service, backend, { challengeId });
      expect(reply).toMatchObject({ restrictedSession: restrictSession, factorType: FactorType.BACKUP_CODE });
      expect(reply.assertion?.amr).toEqual(["urn:mfa:amr:backup-code", "mfa"]);
      // Any other factor of the same user leaves the session whole.
      const other = await createFor(service, "ann", backend);
      await answer(service, backend, { userId: "ann", challengeId: other, code: await app.code() });
      expect(await redeem(service, backend, { challengeId: other })).toMatchObject({ restrictedSession: false });
    }
  });

  /** Who signs at present, by an assertion of ann's. */
  const signing = (service: ServiceUnderTest, app: Awaited<ReturnType<typeof enrollApp>>) => async () => {
    service.pass(30_000);
    const token = await backendOf(service);
    const challengeId = await createFor(service, "ann", token);
    await answer(service, token, { userId: "ann", challengeId, code: await app.code() });
    const { assertion } = await redeem(service, token, { challengeId });
    const header = JSON.parse(Buffer.from(assertion?.token.split(".")[0] ?? "", "base64url").toString());
    return { kid: header.kid as string, token: assertion?.token ?? "", verify: verifierOf(service) };
  };
  const publishedOf = async (service: ServiceUnderTest) => {
    const page = await fetch(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`);
    const { keys } = (await page.json()) as { keys: { kid: string }[] };
    return keys.map(({ kid }) => kid).filter((kid) => !kid.includes("audit"));
  };

  test("an operator changes the key by the scheduled task, with the same overlap, once an hour at most", async () => {
    const service = await serviceForTest(engine);
    const sign = signing(service, await enrollApp(service, "ann"));
    const first = await sign();
    const settingsOf = () => Promise.reject(new Error("the installation's keys are no tenant's"));
    const keyring = await openKeyring(await readKeyFile(join(service.dataDir, "keys.json")), service.store);
    const tasks = createTasks({ keyring, settingsOf, algorithm: "EdDSA" });
    const one = instanceOn(
      service.store,
      service.clock,
      tasks.filter(({ name }) => name === "assertion_keys"),
    );
    await one.introduce();
    await one.turn(); // due at once, and too early: the key is young
    const run = async () => {
      const root = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.schedule.write" } as const;
      const asked = { taskName: "assertion_keys", reason: "a change of staff" };
      await service.admin.runScheduledTask(asked, await service.mint(root));
      await one.turn();
      service.pass(MINUTE); // by then every instance has seen what another did
    };
    await run();
    expect(await publishedOf(service)).toEqual([first.kid]);
    service.pass(60 * MINUTE);
    await run();
    await run();
    const [, second, ...more] = await publishedOf(service);
    expect(more).toEqual([]);
    const overlapping = await sign();
    expect(overlapping.kid).toBe(first.kid);
    service.pass(18 * MINUTE);
    const later = await sign();
    expect(later.kid).toBe(second);
    // What the old key signed holds as long as it would have without a change.
    expect(await publishedOf(service)).toEqual([first.kid, second]);
    await expect(later.verify(later.token, forAnn)).resolves.toMatchObject({ sub: "ann" });
    service.pass(21 * MINUTE);
    expect(await publishedOf(service)).toEqual([second]);
    await expect(first.verify(first.token, forAnn)).rejects.toThrow("an unknown key");
    expect(one.troubles).toEqual([]);
  });

  test("a key that is known to others is deleted: a minute later another signs, and what it signed is refused", async () => {
    const service = await serviceForTest(engine);
    const sign = signing(service, await enrollApp(service, "ann"));
    const stolen = await sign();
    await service.execute("DELETE FROM assertion_keys");
    service.pass(31_000);
    const next = await sign();
    expect(next.kid).not.toBe(stolen.kid);
    expect(await publishedOf(service)).toEqual([next.kid]);
    await expect(next.verify(stolen.token, forAnn)).rejects.toThrow("an unknown key");
    const request = { userId: "ann", token: stolen.token };
    const refused = await failure(service.internal.verifyAssertion(request, await backendOf(service)));
    expect(refused.reason).toBe("ASSERTION_REJECTED");
    await service.internal.verifyAssertion({ ...request, token: next.token }, await backendOf(service));
  });

  test("a public key that was written into the database is never published and verifies nothing", async () => {
    const service = await serviceForTest(engine);
    const sign = signing(service, await enrollApp(service, "ann"));
    const honest = await sign();
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const jwk = { ...publicKey.export({ format: "jwk" }), kid: honest.kid, use: "sig", alg: "EdDSA" };
    await service.execute(`UPDATE assertion_keys SET public_key = '${JSON.stringify(jwk)}'`);
    service.pass(61_000); // by then the set was read again
    const page = await fetch(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`);
    expect(await page.text()).not.toContain(jwk.x);
    const { jwks } = await service.internal.getJwks({}, await backendOf(service));
    expect(JSON.stringify(jwks)).not.toContain(jwk.x);
    const next = await sign();
    expect(next.kid).toBe(honest.kid);
    await expect(next.verify(next.token, forAnn)).resolves.toMatchObject({ sub: "ann" });
    const input = next.token.slice(0, next.token.lastIndexOf("."));
    const forged = `${input}.${signBytes(null, Buffer.from(input), privateKey).toString("base64url")}`;
    const request = { userId: "ann", token: forged };
    const refused = await failure(service.internal.verifyAssertion(request, await backendOf(service)));
    expect(refused.reason).toBe("ASSERTION_REJECTED");
  });

  test("a private key that was written into the database neither signs nor is published", async () => {
    const service = await serviceForTest(engine);
    const sign = signing(service, await enrollApp(service, "ann"));
    const { kid } = await sign();
    await service.execute(`UPDATE assertion_keys SET key_id = 'a-key-of-mine'`);
    service.pass(61_000);
    expect(await publishedOf(service)).toEqual([]);
    const challengeId = await createFor(service, "ann", await backendOf(service));
    expect(challengeId).not.toBe("");
    await service.execute("DELETE FROM assertion_keys");
    service.pass(61_000);
    const next = await sign();
    expect(next.kid).not.toBe(kid);
    expect(await publishedOf(service)).toEqual([next.kid]);
  });

  test("the key set is at the gateway for ten minutes, without private halves", async () => {
    const service = await serviceForTest(engine);
    const response = await fetch(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`);
    expect(response.headers.get("cache-control")).toBe("public, max-age=600");
    expect(response.headers.get("content-type")).toBe("application/jwk-set+json");
    const text = await response.text();
    const { keys } = JSON.parse(text) as { keys: object[] };
    expect(keys).toHaveLength(2); // assertions, and the audit trail's checkpoints
    for (const key of keys) expect(Object.keys(key).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
    expect(text).not.toContain('"d"');
  });
});
