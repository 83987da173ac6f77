import { createHash } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { forgetChallenges } from "../../src/challenges/abandoned.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, inSession, logIn, totp } from "../support/actors/backend.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollPhone, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey, makePasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const stepUp = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };

const stateOf = async (service: ServiceUnderTest, token: string, challengeId: string, userId = "ann") =>
  (await service.internal.getUserChallenge({ userId, challengeId }, token)).challenge?.state;

describe.each(engines)("challenges on $name", (engine) => {
  test("a backend creates one before log-in, and the code of an app proves it once", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const { challenge, preparation } = await service.internal.createUserChallenge(logIn("ann"), backend);
    expect(challenge).toMatchObject({
      state: ChallengeState.PENDING,
      purpose: ChallengePurpose.LOG_IN,
      factors: [{ factorId: app.deviceId, type: FactorType.TOTP, displayName: "Authenticator app", primary: true }],
      provenFactorType: FactorType.UNSPECIFIED,
    });
    expect(challenge?.challengeId).toMatch(/^[\w-]{22}$/);
    expect(preparation).toBeUndefined();
    const challengeId = challenge?.challengeId ?? "";
    const proven = await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(proven.challenge).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.TOTP });
    service.pass(30_000);
    const again = await failure(answer(service, backend, { userId: "ann", challengeId, code: await app.code() }));
    expect(again).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "WRONG_STATE" });
    // The code of the refused call is not spent.
    await service.internal.verifyUserTotpCode({ userId: "ann", code: await app.code() }, backend);
  });

  test("a user creates, reads and proves one in their own session, and no other session sees it", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const [own, other] = [await inSession(service, "ann", "one"), await inSession(service, "ann", "two")];
    const { challenge } = await service.mfa.createChallenge({ terms: stepUp }, own);
    const challengeId = challenge?.challengeId ?? "";
    const code = await app.code();
    const strangers = [
      other,
      app.token,
      await inSession(service, "bob", "one"),
      await service.mint({ ...{ audience: "mfa", subject: "ann", session: "one" }, tenant: "other" }),
    ];
    for (const token of strangers) {
      const refused = [
        await failure(service.mfa.getChallenge({ challengeId }, token)),
        await failure(service.mfa.cancelChallenge({ challengeId }, token)),
        await failure(service.mfa.resendChallenge({ challengeId }, token)),
        await failure(service.mfa.verifyChallenge({ challengeId, proof: totp(code) }, token)),
      ];
      for (const refusal of refused) expect(refusal).toMatchObject({ code: status.NOT_FOUND, reason: "NOT_FOUND" });
    }
    const proven = await service.mfa.verifyChallenge({ challengeId, proof: totp(code) }, own);
    expect(proven.challenge?.state).toBe(ChallengeState.PROVEN);
  });

  test("a backend sees its own only, and the user's page may answer what the backend created for its session", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const shop = await backendOf(service);
    const challengeId = await createFor(service, "ann", shop, { sessionId: "one" });
    for (const token of [await backendOf(service, "bank"), await backendOf(service, "shop", "other")]) {
      expect((await failure(stateOf(service, token, challengeId))).reason).toBe("NOT_FOUND");
    }
    expect((await failure(stateOf(service, shop, challengeId, "bob"))).reason).toBe("NOT_FOUND");
    const page = await inSession(service, "ann", "one");
    await service.mfa.verifyChallenge({ challengeId, proof: totp(await app.code()) }, page);
    expect(await stateOf(service, shop, challengeId)).toBe(ChallengeState.PROVEN);
  });

  test("a user names no session but their own, and always an audience", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "one");
    const foreign = await failure(service.mfa.createChallenge({ terms: { ...stepUp, sessionId: "two" } }, token));
    expect(foreign).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "terms.session_id" } });
    const nobodys = await failure(service.mfa.createChallenge({ terms: { ...stepUp, audience: "" } }, token));
    expect(nobodys).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "terms.audience" } });
  });

  test("a code of another user, a spent one and a wrong one are refused alike and counted", async () => {
    const service = await serviceForTest(engine);
    const [ann, bob] = [await enrollApp(service, "ann"), await enrollApp(service, "bob")];
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const spent = await ann.code();
    await service.internal.verifyUserTotpCode({ userId: "ann", code: spent }, backend);
    for (const code of [spent, await bob.code(), await wrongCode(ann)]) {
      const refused = await failure(answer(service, backend, { userId: "ann", challengeId, code }));
      expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED", metadata: {} });
    }
    expect(await stateOf(service, backend, challengeId)).toBe(ChallengeState.PENDING);
  });

  test("a lock ends every open challenge of the user, for good", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const [first, second] = [await createFor(service, "ann", backend), await createFor(service, "ann", backend)];
    const code = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(answer(service, backend, { userId: "ann", challengeId: first, code }));
    for (const id of [first, second]) expect(await stateOf(service, backend, id)).toBe(ChallengeState.LOCKED);
    const meanwhile = await failure(service.internal.createUserChallenge(logIn("ann"), backend));
    expect(meanwhile).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "LOCKED", retryAfterMs: MINUTE });
    service.pass(MINUTE + 1000);
    const right = { userId: "ann", challengeId: second, code: await app.code() };
    expect((await failure(answer(service, backend, right))).reason).toBe("CHALLENGE_EXPIRED");
    const third = await createFor(service, "ann", backend);
    await answer(service, backend, { ...right, challengeId: third });
    expect(await stateOf(service, backend, second)).toBe(ChallengeState.LOCKED);
  });

  test("the right code proves also as the last attempt before a lock", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const code = await wrongCode(app);
    for (let n = 0; n < 4; n++) await failure(answer(service, backend, { userId: "ann", challengeId, code }));
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(await stateOf(service, backend, challengeId)).toBe(ChallengeState.PROVEN);
  });

  test("it stands for its lifetime and not a moment longer, and its proof for five minutes", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const short = await createFor(service, "ann", backend, { lifetime: { seconds: 60n, nanos: 0 } });
    const challengeId = await createFor(service, "ann", backend);
    service.pass(MINUTE - 1);
    expect(await stateOf(service, backend, short)).toBe(ChallengeState.PENDING);
    service.pass(1);
    const late = await failure(answer(service, backend, { userId: "ann", challengeId: short, code: await app.code() }));
    expect(late).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "CHALLENGE_EXPIRED" });
    expect(await stateOf(service, backend, short)).toBe(ChallengeState.EXPIRED);
    service.pass(3 * MINUTE);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    service.pass(5 * MINUTE - 1);
    expect(await stateOf(service, backend, challengeId)).toBe(ChallengeState.PROVEN);
    service.pass(1);
    expect(await stateOf(service, backend, challengeId)).toBe(ChallengeState.EXPIRED);
  });

  test("of several of a kind the one that was used last is offered first", async () => {
    const service = await serviceForTest(engine);
    const [older, newer] = [await enrollApp(service, "ann"), await enrollApp(service, "ann", "aal2")];
    const backend = await backendOf(service);
    for (const app of [newer, older, newer]) {
      service.pass(MINUTE);
      await service.internal.verifyUserTotpCode({ userId: "ann", code: await app.code() }, backend);
      const { challenge } = await service.internal.createUserChallenge(logIn("ann"), backend);
      expect(challenge?.factors[0]?.factorId).toBe(app.deviceId);
    }
  });

  test("a page's challenge is for its own session, which it may name", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "one");
    const create = (sessionId: string) => service.mfa.createChallenge({ terms: { ...stepUp, sessionId } }, token);
    expect(await failure(create("two"))).toMatchObject({
      reason: "INVALID_FIELD",
      metadata: { field: "terms.session_id" },
    });
    await create("one");
  });

  test("where no lifetime is asked for it stands for five minutes", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    service.pass(5 * MINUTE - 1);
    expect(await stateOf(service, backend, challengeId)).toBe(ChallengeState.PENDING);
    service.pass(1);
    expect(await stateOf(service, backend, challengeId)).toBe(ChallengeState.EXPIRED);
  });

  test("cancelled, it can no longer be proved; one that has ended stays as it was", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    for (let n = 0; n < 2; n++) {
      const { challenge } = await service.internal.cancelUserChallenge({ userId: "ann", challengeId }, backend);
      expect(challenge?.state).toBe(ChallengeState.CANCELLED);
    }
    const refused = await failure(answer(service, backend, { userId: "ann", challengeId, code: await app.code() }));
    expect(refused.reason).toBe("CHALLENGE_EXPIRED");
    const old = await createFor(service, "ann", backend);
    service.pass(5 * MINUTE);
    const { challenge } = await service.internal.cancelUserChallenge({ userId: "ann", challengeId: old }, backend);
    expect(challenge?.state).toBe(ChallengeState.EXPIRED);
  });

  test("a change of the user's factors ends what was open before it", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const [pending, proven] = [await createFor(service, "ann", backend), await createFor(service, "ann", backend)];
    await answer(service, backend, { userId: "ann", challengeId: proven, code: await app.code() });
    await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    for (const id of [pending, proven]) expect(await stateOf(service, backend, id)).toBe(ChallengeState.CANCELLED);
    service.pass(30_000);
    const refused = await failure(
      answer(service, backend, { userId: "ann", challengeId: pending, code: await app.code() }),
    );
    expect(refused.reason).toBe("CHALLENGE_EXPIRED");
  });

  test("it takes only the kinds that its terms and its strength admit", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const token = await inSession(service, "ann", "one");
    for (const terms of [
      { allowedFactorTypes: [FactorType.WEBAUTHN] },
      { strength: AuthenticationStrength.PHISHING_RESISTANT },
      { requireAuthenticatorBinding: true },
    ]) {
      const refused = await failure(service.mfa.createChallenge({ terms: { ...stepUp, ...terms } }, token));
      expect(refused).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "FACTOR_NOT_ALLOWED" });
    }
    const challengeId = await createFor(service, "ann", backend, { allowedFactorTypes: [FactorType.TOTP] });
    const client = { ip: "203.0.113.7" };
    const proof = { kind: { case: "backupCode" as const, value: "ABCD-EFGH-JKMN-PQRS-TVW" } };
    const refused = await failure(
      service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, backend),
    );
    expect(refused).toMatchObject({ reason: "FACTOR_NOT_ALLOWED", metadata: { allowed: "TOTP" } });
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
  });

  test("who has no factor is told so; a backend gets a challenge that nothing proves, as for an unknown user", async () => {
    const service = await serviceForTest(engine);
    const backend = await backendOf(service);
    const refused = await failure(
      service.mfa.createChallenge({ terms: stepUp }, await inSession(service, "bob", "one")),
    );
    expect(refused).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "NOT_ENROLLED" });
    await service.mfa.startTotpEnrollment({}, await service.user("eve"));
    const shapes = [];
    for (const userId of ["nobody", "eve"]) {
      const { challenge } = await service.internal.createUserChallenge(logIn(userId), backend);
      const challengeId = challenge?.challengeId ?? "";
      const code = await failure(answer(service, backend, { userId, challengeId, code: "123456" }));
      shapes.push({ ...challenge, challengeId: "", code: [code.code, code.reason, code.metadata] });
    }
    expect(shapes[0]).toEqual(shapes[1]);
    expect(shapes[0]).toMatchObject({ factors: [], code: [status.PERMISSION_DENIED, "CODE_REJECTED", {}] });
  });

  test("no kind of answer tells an unknown user from one who does not have it", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await switchPushOn(service);
    await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const none = { ...logIn("nobody"), client: { ip: "203.0.113.7" } };
    const answers = [
      { case: "smsCode", value: "123456" },
      { case: "backupCode", value: "ABC-DEFG-HJKM-NPQR-STVW" },
      { case: "temporaryPass", value: "ABC-DEFG-HJKM-NPQR-STVW" },
      { case: "push", value: "A".repeat(22) },
      { case: "webauthn", value: makePasskey().get({ rpId: "localhost", challenge: "A".repeat(43) }) },
    ] as const;
    for (const kind of answers) {
      const refusals = [];
      for (const userId of ["ann", "nobody"]) {
        const { challenge } = await service.internal.createUserChallenge({ ...none, userId }, backend);
        const request = { userId, challengeId: challenge?.challengeId ?? "", proof: { kind }, client: none.client };
        const { code, reason, metadata } = await failure(service.internal.verifyUserChallenge(request, backend));
        refusals.push({ code, reason, metadata });
      }
      expect([kind.case, refusals[1]]).toEqual([kind.case, refusals[0]]);
    }
  });

  test("an action is hashed in canonical form and shown in the tenant's words", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const admin = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.settings.write" } as const;
    const text = "Pay {amount} to {to}?{ }{nothing}";
    const templates = { actions: [{ actionType: "pay", locale: "en", text }] };
    await service.admin.updateTenantSettings({ templates }, await service.mint(admin));
    service.pass(1000);
    const token = await inSession(service, "ann", "one");
    const parameters = { to: 'B "{amount}" €', amount: "10" };
    const action = { type: "pay", parameters };
    const { challenge } = await service.mfa.createChallenge({ terms: { ...stepUp, action } }, token);
    expect(challenge?.renderedAction).toBe('Pay 10 to B "{amount}" €?{ }');
    const canonical = '{"parameters":{"amount":"10","to":"B \\"{amount}\\" €"},"type":"pay"}';
    expect(Buffer.from(challenge?.actionDigest ?? [])).toEqual(createHash("sha256").update(canonical).digest());
    const plain = await service.internal.createUserChallenge(
      logIn("ann", { ...stepUp, action: { ...action, type: "other" } }),
      await backendOf(service),
    );
    expect(plain.challenge?.renderedAction).toBe('other\namount: 10\nto: B "{amount}" €');
  });

  test("at most twenty of a user are open at once", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const backend = await backendOf(service);
    for (let n = 0; n < 20; n++) await createFor(service, "ann", backend);
    service.pass(MINUTE);
    const refused = await failure(service.internal.createUserChallenge(logIn("ann"), backend));
    expect(refused).toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: 4 * MINUTE });
    await createFor(service, "bob", backend);
    service.pass(4 * MINUTE);
    await createFor(service, "ann", backend);
  });

  test("what a lock or a change of factors has ended is open no more, and stands in no new one's way", async () => {
    for (const end of [
      async (service: ServiceUnderTest, code: string, backend: string) => {
        for (let n = 0; n < 5; n++) {
          await failure(service.internal.verifyUserTotpCode({ userId: "ann", code }, backend));
        }
        service.pass(MINUTE);
      },
      async (service: ServiceUnderTest) => {
        await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
      },
    ]) {
      const service = await serviceForTest(engine);
      const app = await enrollApp(service, "ann");
      const backend = await backendOf(service);
      for (let n = 0; n < 20; n++) await createFor(service, "ann", backend);
      service.pass(1000);
      expect((await failure(createFor(service, "ann", backend))).reason).toBe("RATE_LIMITED");
      await end(service, await wrongCode(app), backend);
      expect(await createFor(service, "ann", backend)).toMatch(/^[\w-]{22}$/);
    }
  });

  test("one that ran out unproved is told of when it is forgotten, and one that ended otherwise is not", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const told = async () => (await eventsOf(service.store)).filter((event) => event.includes("ABANDONED")).length;
    await createFor(service, "ann", backend);
    const cancelled = await createFor(service, "ann", backend);
    await service.internal.cancelUserChallenge({ userId: "ann", challengeId: cancelled }, backend);
    const proven = await createFor(service, "ann", backend);
    await answer(service, backend, { userId: "ann", challengeId: proven, code: await app.code() });
    service.pass(64 * MINUTE);
    await createFor(service, "ann", await backendOf(service));
    expect(await told()).toBe(0); // kept for an hour
    service.pass(MINUTE);
    await createFor(service, "ann", await backendOf(service));
    expect(await told()).toBe(1);
    const forget = (limit: number) =>
      service.store.write((tx) => forgetChallenges(tx, new Date(service.clock.now.getTime() - 60 * MINUTE), limit));
    await createFor(service, "nobody", await backendOf(service));
    service.pass(70 * MINUTE);
    for (let left = 1; left > 0; ) left = await forget(2);
    // Ann's two of just now, the unknown user's, and what was proved and never redeemed is none of them.
    expect(await told()).toBe(4);
  });

  test("an abandoned one is told of whatever happened after it ran out, and not what a lock or a change had ended", async () => {
    const change = async (service: ServiceUnderTest) => {
      await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    };
    const lock = async (service: ServiceUnderTest, app: { code(): Promise<string> }) => {
      for (let n = 0; n < 5; n++) {
        await failure(service.mfa.verifyTotpCode({ code: await wrongCode(app) }, await service.user("ann")));
      }
      service.pass(MINUTE);
    };
    for (const happen of [change, lock]) {
      for (const [before, after, told] of [
        [false, true, 1],
        [true, false, 0],
        [true, true, 0],
      ] as const) {
        const service = await serviceForTest(engine);
        const app = await enrollApp(service, "ann");
        await createFor(service, "ann", await backendOf(service));
        service.pass(1000);
        if (before) await happen(service, app);
        service.pass(10 * MINUTE);
        if (after) await happen(service, app);
        service.pass(70 * MINUTE);
        await service.store.write((tx) => forgetChallenges(tx, new Date(service.clock.now.getTime() - HOUR), 10));
        const events = (await eventsOf(service.store)).filter((event) => event.includes("ABANDONED"));
        expect([happen.name, before, after, events.length]).toEqual([happen.name, before, after, told]);
      }
    }
  });

  test("what was proved is redeemed while the clock is behind the time of the first signing key", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    const backend = await backendOf(service);
    const redeemed = async () => {
      const challengeId = await createFor(service, "ann", backend);
      const proof = { kind: { case: "backupCode" as const, value: codes.shift() ?? "" } };
      const request = { userId: "ann", client: { ip: "203.0.113.7" }, challengeId };
      await service.internal.verifyUserChallenge({ ...request, proof }, backend);
      return service.internal.redeemChallenge(request, backend);
    };
    await redeemed();
    service.pass(-20 * MINUTE);
    const { assertion } = await redeemed();
    const asked = { userId: "ann", token: assertion?.token ?? "" };
    expect((await service.internal.verifyAssertion(asked, backend)).claims?.userId).toBe("ann");
  });

  test("challenges of another tenant's user of the same name are neither counted nor cancelled nor forgotten", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const [own, other] = [await backendOf(service), await backendOf(service, "shop", "other")];
    const foreign = await createFor(service, "ann", other);
    for (let n = 0; n < 20; n++) await createFor(service, "ann", own);
    expect((await failure(createFor(service, "ann", own))).reason).toBe("RATE_LIMITED");
    const revokers = await service.backend("mfa.factors.write");
    const revoked = await service.internal.revokeUserTrust({ userId: "ann", reason: "new password" }, revokers);
    expect(revoked.cancelledChallengeCount).toBe(20);
    expect(await stateOf(service, other, foreign)).toBe(ChallengeState.PENDING);
    for (let n = 0; n < 19; n++) await createFor(service, "ann", other);
    service.pass(65 * MINUTE + 1);
    await createFor(service, "ann", await backendOf(service));
    // What ran out more than an hour ago is forgotten with one's own, and only then.
    const later = await backendOf(service, "shop", "other");
    expect(await stateOf(service, later, foreign)).toBe(ChallengeState.EXPIRED);
  });

  test("what was not offered is not prepared", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const asked = { ...logIn("ann"), prepareFactorType: FactorType.TOTP };
    const foreign = { ...asked, factorId: "01900000-0000-7000-8000-000000000000" };
    expect((await failure(service.internal.createUserChallenge(foreign, backend))).reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("it shows what it is about and until when, and neither what answers it nor the session", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await switchPushOn(service);
    await enrollPhone(service, "ann");
    await enrollPasskey(service, "ann");
    await pairPhone(service, "ann", { acr: "aal2" });
    const app = await enrollApp(service, "ann", "aal2");
    const backend = await backendOf(service);
    const sessionId = "session-that-must-not-be-kept";
    const text = (value: unknown) =>
      JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}` : inner));
    const at = (ms = 0) => ({ seconds: BigInt((service.clock.now.getTime() + ms) / 1000) });
    for (const prepareFactorType of [FactorType.SMS, FactorType.PUSH, FactorType.WEBAUTHN]) {
      const asked = { ...logIn("ann", { sessionId }), prepareFactorType };
      const { challenge, preparation } = await service.internal.createUserChallenge(asked, backend);
      const { kind } = preparation ?? {};
      const answers = {
        sms: await newestCode(service, "ann"),
        push: kind?.case === "push" ? `"${kind.value.number}"` : "",
        webauthnOptions: kind?.case === "webauthnOptions" ? String(kind.value.challenge) : "",
      };
      const secret = answers[kind?.case as keyof typeof answers];
      expect(secret).toBeTruthy();
      const challengeId = challenge?.challengeId ?? "";
      const read = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
      for (const shown of [challenge, read]) expect(text(shown)).not.toContain(secret);
    }
    await service.internal.evaluateMfa({ userId: "ann", sessionId, client: { ip: "203.0.113.7" } }, backend);
    expect(text(await everyRow(service.store))).not.toContain(sessionId);
    const { challenge } = await service.internal.createUserChallenge(logIn("ann"), backend);
    expect(challenge).toMatchObject({ actionDigest: new Uint8Array(), expireTime: at(5 * MINUTE), retryAfter: {} });
    expect(challenge?.proveTime).toBeUndefined();
    service.pass(MINUTE);
    const proof = { userId: "ann", challengeId: challenge?.challengeId ?? "", code: await app.code() };
    const { challenge: proven } = await answer(service, backend, proof);
    expect(proven).toMatchObject({ proveTime: at(), expireTime: at(5 * MINUTE), retryAfter: {} });
  });

  test("its id is in no log line", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(service.log.join()).not.toContain(challengeId);
  });

  test("a redemption that is refused touches no row of its user, so that nobody learns by time whether there is one", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const open = await Promise.all(["ann", "nobody"].map((userId) => createFor(service, userId, backend)));
    await service.execute(...forbidUsers(engine.name));
    for (const [n, userId] of ["ann", "nobody"].entries()) {
      const request = { userId, client: { ip: "203.0.113.7" }, challengeId: open[n] ?? "" };
      const refused = await failure(service.internal.redeemChallenge(request, backend));
      expect(refused.reason).toBe("WRONG_STATE");
      await service.internal.cancelUserChallenge({ userId, challengeId: request.challengeId }, backend);
      expect((await failure(service.internal.redeemChallenge(request, backend))).reason).toBe("CHALLENGE_EXPIRED");
    }
  });
});

/** Has the database refuse every write to the users' table. */
const forbidUsers = (engine: string): string[] =>
  engine === "sqlite"
    ? ["INSERT", "UPDATE"].map(
        (verb) => `CREATE TRIGGER forbid_${verb} BEFORE ${verb} ON users BEGIN SELECT RAISE(ABORT, 'touched'); END`,
      )
    : [
        "CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'touched'; END $$",
        "CREATE TRIGGER forbid BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION forbid()",
      ];
