import { createHash } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { forgetChallenges } from "../../src/challenges/abandoned.ts";
import { enrolApp, wrongCode } from "../support/authenticator.ts";
import { answer, backendOf, createFor, inSession, logIn, totp } from "../support/challenges.ts";
import { failure } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { switchOn } from "../support/otp.ts";
import { makePasskey } from "../support/passkey.ts";
import { switchPushOn } from "../support/push.ts";
import { eventsOf } from "../support/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/service.ts";

const MINUTE = 60_000;
const stepUp = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };

const stateOf = async (service: ServiceUnderTest, token: string, challengeId: string, userId = "ann") =>
  (await service.internal.getUserChallenge({ userId, challengeId }, token)).challenge?.state;

describe.each(engines)("challenges on $name", (engine) => {
  test("a backend creates one before log-in, and the code of an app proves it once", async () => {
    const service = await serviceForTest(engine);
    const app = await enrolApp(service, "ann");
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
    const app = await enrolApp(service, "ann");
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
    const app = await enrolApp(service, "ann");
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
    await enrolApp(service, "ann");
    const token = await inSession(service, "ann", "one");
    const foreign = await failure(service.mfa.createChallenge({ terms: { ...stepUp, sessionId: "two" } }, token));
    expect(foreign).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "terms.session_id" } });
    const nobodys = await failure(service.mfa.createChallenge({ terms: { ...stepUp, audience: "" } }, token));
    expect(nobodys).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "terms.audience" } });
  });

  test("a code of another user, a spent one and a wrong one are refused alike and counted", async () => {
    const service = await serviceForTest(engine);
    const [ann, bob] = [await enrolApp(service, "ann"), await enrolApp(service, "bob")];
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
    const app = await enrolApp(service, "ann");
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
    const app = await enrolApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const code = await wrongCode(app);
    for (let n = 0; n < 4; n++) await failure(answer(service, backend, { userId: "ann", challengeId, code }));
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(await stateOf(service, backend, challengeId)).toBe(ChallengeState.PROVEN);
  });

  test("it stands for its lifetime and not a moment longer, and its proof for five minutes", async () => {
    const service = await serviceForTest(engine);
    const app = await enrolApp(service, "ann");
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

  test("cancelled, it can no longer be proved; one that has ended stays as it was", async () => {
    const service = await serviceForTest(engine);
    const app = await enrolApp(service, "ann");
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
    const app = await enrolApp(service, "ann");
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
    const app = await enrolApp(service, "ann");
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
    await enrolApp(service, "ann");
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
    await enrolApp(service, "ann");
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
    const plain = await service.mfa.createChallenge(
      { terms: { ...stepUp, action: { ...action, type: "other" } } },
      token,
    );
    expect(plain.challenge?.renderedAction).toBe('other\namount: 10\nto: B "{amount}" €');
  });

  test("at most twenty of a user are open at once", async () => {
    const service = await serviceForTest(engine);
    await enrolApp(service, "ann");
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
      const app = await enrolApp(service, "ann");
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
    const app = await enrolApp(service, "ann");
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

  test("its id is in no log line", async () => {
    const service = await serviceForTest(engine);
    const app = await enrolApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(service.log.join()).not.toContain(challengeId);
  });
});
