// Challenges that a user's own page creates, follows and answers.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { backendOf, inSession, redeem, totp } from "../support/actors/backend.ts";
import { failure, streamer } from "../support/actors/grpc-client.ts";
import { enrollPhone, newestCode, otherThan, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
const smsCode = (value: string) => ({ kind: { case: "smsCode" as const, value } });

describe.each(engines)("challenges of users on $name", (engine) => {
  const begin = async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const app = await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "one");
    const create = (more: object = {}) => service.mfa.createChallenge({ terms, ...more }, token);
    const idOf = async (creating: ReturnType<typeof create>) => (await creating).challenge?.challengeId ?? "";
    const stateOf = async (challengeId: string) =>
      (await service.mfa.getChallenge({ challengeId }, token)).challenge?.state;
    return { service, app, token, create, idOf, stateOf };
  };

  test("one stands for five minutes, twenty at once, and none is made during a lock", async () => {
    const { service, app, create, idOf, stateOf } = await begin();
    const { challenge } = await create();
    const { challengeId = "", expireTime } = challenge ?? {};
    expect(expireTime && timestampDate(expireTime)).toEqual(new Date(service.clock.now.getTime() + 5 * MINUTE));
    for (let n = 0; n < 19; n++) await create();
    expect((await failure(create())).reason).toBe("RATE_LIMITED");
    service.pass(5 * MINUTE - 1);
    expect(await stateOf(challengeId)).toBe(ChallengeState.PENDING);
    service.pass(1);
    expect(await stateOf(challengeId)).toBe(ChallengeState.EXPIRED);
    const open = await idOf(create());
    const code = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code }, app.token));
    expect((await failure(create())).reason).toBe("LOCKED");
    expect(await stateOf(open)).toBe(ChallengeState.LOCKED);
  });

  test("one that its page takes back ends, and one that has ended stays as it was", async () => {
    const { service, app, token, create, idOf, stateOf } = await begin();
    const challengeId = await idOf(create());
    for (let n = 0; n < 2; n++) {
      const { challenge } = await service.mfa.cancelChallenge({ challengeId }, token);
      expect(challenge?.state).toBe(ChallengeState.CANCELLED);
    }
    const proof = totp(await app.code());
    expect((await failure(service.mfa.verifyChallenge({ challengeId, proof }, token))).reason).toBe(
      "CHALLENGE_EXPIRED",
    );
    const late = await idOf(create());
    service.pass(5 * MINUTE);
    const { challenge } = await service.mfa.cancelChallenge({ challengeId: late }, token);
    expect([challenge?.state, await stateOf(late)]).toEqual([ChallengeState.EXPIRED, ChallengeState.EXPIRED]);
  });

  test("a page follows its own to its end, and no other session does", async () => {
    const { service, app, token, create, idOf } = await begin();
    const challengeId = await idOf(create());
    const watch = (as: string) => streamer(service.port)(MfaService.method.watchChallenge, { challengeId }, as);
    expect((await failure(watch(await inSession(service, "ann", "two")).next())).reason).toBe("NOT_FOUND");
    const stream = watch(token);
    const next = async () => (await stream.next())?.challenge?.state;
    expect(await next()).toBe(ChallengeState.PENDING);
    await service.mfa.verifyChallenge({ challengeId, proof: totp(await app.code()) }, token);
    expect(await next()).toBe(ChallengeState.PROVEN);
    service.pass(5 * MINUTE);
    expect(await next()).toBe(ChallengeState.EXPIRED);
    expect(await stream.next()).toBeUndefined();
  });

  test("what a page reads as proven is redeemed by no backend once the user's factors have changed", async () => {
    const { service, app, token, create, idOf, stateOf } = await begin();
    const challengeId = await idOf(create());
    await service.mfa.verifyChallenge({ challengeId, proof: totp(await app.code()) }, token);
    expect(await stateOf(challengeId)).toBe(ChallengeState.PROVEN);
    await enrollPasskey(service, "ann");
    const backend = await backendOf(service);
    const refused = await failure(redeem(service, backend, { challengeId, sessionId: "one" }));
    expect(refused.reason).toBe("CHALLENGE_EXPIRED");
  });

  test("a code is sent again after a pause, ends the older one, wins no guesses, and gives way to another kind", async () => {
    const { service, app, token, create } = await begin();
    await enrollPhone(service, "ann");
    const { challenge } = await create({ prepareFactorType: FactorType.SMS });
    const challengeId = challenge?.challengeId ?? "";
    const verify = (value: string) => service.mfa.verifyChallenge({ challengeId, proof: smsCode(value) }, token);
    const older = await newestCode(service, "ann");
    for (let n = 0; n < 2; n++) expect((await failure(verify(otherThan(older)))).reason).toBe("CODE_REJECTED");
    const soon = await failure(service.mfa.resendChallenge({ challengeId }, token));
    expect(soon).toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: 30_000 });
    service.pass(30_000);
    const { preparation } = await service.mfa.resendChallenge({ challengeId }, token);
    expect(preparation?.kind.case).toBe("sms");
    const newer = await newestCode(service, "ann");
    expect((await failure(verify(older === newer ? otherThan(newer) : older))).reason).toBe("CODE_REJECTED");
    await service.mfa.resendChallenge({ challengeId, factorType: FactorType.TOTP }, token);
    const proven = await service.mfa.verifyChallenge({ challengeId, proof: totp(await app.code()) }, token);
    expect(proven.challenge).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.TOTP });

    const second = await create();
    const other = second.challenge?.challengeId ?? "";
    const wrong = await wrongCode(app);
    const guess = () => service.mfa.verifyChallenge({ challengeId: other, proof: totp(wrong) }, token);
    for (let n = 0; n < 5; n++) expect((await failure(guess())).reason).toBe("CODE_REJECTED");
    expect((await failure(guess())).reason).toMatch(/LOCKED|CHALLENGE_EXPIRED/);
  });

  test("an answer is held to what the tenant says and what the factor is by then", async () => {
    const { service, token, create, idOf } = await begin();
    await enrollPhone(service, "ann");
    const challengeId = await idOf(create({ prepareFactorType: FactorType.SMS }));
    const proof = smsCode(await newestCode(service, "ann"));
    await switchOn(service, { sms: { enabled: false } });
    service.pass(2_000);
    const verify = () => service.mfa.verifyChallenge({ challengeId, proof }, token);
    expect((await failure(verify())).reason).toBe("FACTOR_NOT_ALLOWED");
    await switchOn(service);
    service.pass(2_000);
    await service.mfa.disableSms({}, await service.user("ann", "aal2"));
    expect((await failure(verify())).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("a wrong signature is SIGNATURE_REJECTED, and five of them lock passkeys", async () => {
    const { service, token, create } = await begin();
    const { passkey } = await enrollPasskey(service, "ann");
    for (let n = 0; n < 5; n++) {
      const { challenge, preparation } = await create({ prepareFactorType: FactorType.WEBAUTHN });
      const options = preparation?.kind.case === "webauthnOptions" ? preparation.kind.value : undefined;
      const value = passkey.get(options, { signature: () => Buffer.alloc(70) });
      const proof = { kind: { case: "webauthn" as const, value } };
      const request = { challengeId: challenge?.challengeId ?? "", proof };
      expect((await failure(service.mfa.verifyChallenge(request, token))).reason).toBe("SIGNATURE_REJECTED");
    }
    const { status } = await service.mfa.getMfaStatus({}, token);
    expect(status?.lock).toMatchObject({ webauthnLocked: true, codesLocked: false });
  });
});
