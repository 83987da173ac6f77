import { randomUUID } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { DeliveryState } from "../../gen/mfa/v1/otp_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf, inSession, logIn } from "../support/actors/backend.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import {
  codesFor,
  enrollEmail,
  enrollPhone,
  inboxOf,
  newestCode,
  otherThan,
  phone,
  switchOn,
} from "../support/actors/one-time-codes.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const client = { ip: "203.0.113.7" };
const smsCode = (value: string) => ({ kind: { case: "smsCode" as const, value } });
const emailCode = (value: string) => ({ kind: { case: "emailCode" as const, value } });

/** A backend's challenge of Ann's, with a text message on its way for it. */
async function sentFor(service: ServiceUnderTest, backend: string) {
  const request = { ...logIn("ann"), prepareFactorType: FactorType.SMS };
  const { challenge, preparation } = await service.internal.createUserChallenge(request, backend);
  return { challengeId: challenge?.challengeId ?? "", challenge, preparation };
}

describe.each(engines)("challenges answered by codes that were sent, on $name", (engine) => {
  test("a text message is sent for a backend's challenge, its way is shown, and its code proves it once", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { factorId } = await enrollPhone(service, "ann");
    const backend = await backendOf(service);
    const { challengeId, challenge, preparation } = await sentFor(service, backend);
    expect(challenge?.factors).toMatchObject([{ factorId, type: FactorType.SMS, maskedTarget: "+49 *** ** 78" }]);
    expect(preparation?.kind).toMatchObject({
      case: "sms",
      value: { challengeId, maskedTarget: "+49 *** ** 78", codeLength: 6, deliveryState: DeliveryState.QUEUED },
    });
    const shown = await vi.waitUntil(
      async () => {
        const read = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
        return read.challenge?.delivery?.deliveryState === DeliveryState.SENT && read.challenge.delivery;
      },
      { timeout: 20_000 },
    );
    expect(JSON.stringify(shown, (_, value) => String(value))).not.toContain(phone().slice(3));

    const code = await newestCode(service, "ann");
    const verify = (value: string) =>
      service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof: smsCode(value), client }, backend);
    expect((await failure(verify(otherThan(code)))).reason).toBe("CODE_REJECTED");
    const counts = await tally(Array.from({ length: 20 }, () => verify(code)));
    expect(counts.OK).toBe(1);
    const read = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(read.challenge).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.SMS });
  });

  test("sent again, the older code is dead; the limits hold here too", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const backend = await backendOf(service);
    const { challengeId } = await sentFor(service, backend);
    const older = await newestCode(service, "ann");
    const resend = () => service.internal.resendUserChallenge({ userId: "ann", challengeId, client }, backend);
    expect(await failure(resend())).toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: 30_000 });
    service.pass(30_000);
    await resend();
    const newer = await newestCode(service, "ann");
    const verify = (value: string) =>
      service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof: smsCode(value), client }, backend);
    if (older !== newer) expect((await failure(verify(older))).reason).toBe("CODE_REJECTED");
    await verify(newer);
    service.pass(30_000);
    // Enrollment, first and second: the fourth in ten minutes is refused, and no challenge is made.
    expect((await failure(sentFor(service, backend))).reason).toBe("RATE_LIMITED");
  });

  test("the code of a challenge is good nowhere else, and no other code is good there", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const backend = await backendOf(service);
    const { challengeId } = await sentFor(service, backend);
    const code = await newestCode(service, "ann");
    const own = await service.user("ann");
    expect((await failure(service.mfa.verifySmsCode({ challengeId, code }, own))).reason).toBe("CODE_REJECTED");
    service.pass(30_000);
    await service.mfa.sendSmsCode({}, own);
    const other = await newestCode(service, "ann");
    const proof = { userId: "ann", challengeId, proof: smsCode(other), client };
    if (other !== code) {
      expect((await failure(service.internal.verifyUserChallenge(proof, backend))).reason).toBe("CODE_REJECTED");
    }
    await service.internal.verifyUserChallenge({ ...proof, proof: smsCode(code) }, backend);
  });

  test("two log-ins at once have a code each", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const backend = await backendOf(service);
    const first = await sentFor(service, backend);
    const firstCode = await newestCode(service, "ann");
    service.pass(30_000);
    const second = await sentFor(service, backend);
    const secondCode = await newestCode(service, "ann");
    for (const [challengeId, code] of [
      [first.challengeId, firstCode],
      [second.challengeId, secondCode],
    ] as const) {
      const proof = { userId: "ann", challengeId, proof: smsCode(code), client };
      await service.internal.verifyUserChallenge(proof, backend);
    }
  });

  test("prepared anew, a challenge sends its code or asks the phone again, or turns to another of its factors", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await switchPushOn(service);
    await enrollPhone(service, "ann");
    const device = await pairPhone(service, "ann", { acr: "aal2" });
    const backend = await backendOf(service);
    const { challengeId } = await sentFor(service, backend);
    const anew = async (factorType = FactorType.UNSPECIFIED) => {
      service.pass(30_000);
      const request = { userId: "ann", challengeId, client, factorType };
      const { preparation } = await service.internal.resendUserChallenge(request, backend);
      return preparation?.kind.case;
    };
    const before = (await codesFor(service, "ann")).length;
    expect(await anew()).toBe("sms");
    expect((await codesFor(service, "ann")).length).toBe(before + 1);
    expect(await anew(FactorType.PUSH)).toBe("push");
    const [first] = await device.pending();
    expect(await anew()).toBe("push");
    const waiting = await device.pending();
    expect(waiting).toHaveLength(1);
    expect(waiting[0]?.pushChallengeId).not.toBe(first?.pushChallengeId);
    expect((await failure(anew(FactorType.TOTP))).reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("e-mail answers only where it is named, and never where a second factor is asked for", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await enrollApp(service, "ann");
    const session = await inSession(service, "ann", "one");
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const { challenge } = await service.mfa.createChallenge({ terms }, session);
    expect(challenge?.factors.map(({ type }) => type)).toEqual([FactorType.TOTP]);
    const challengeId = challenge?.challengeId ?? "";
    const refused = await failure(service.mfa.verifyChallenge({ challengeId, proof: emailCode("123456") }, session));
    expect(refused.reason).toBe("FACTOR_NOT_ALLOWED");
    service.pass(30_000);

    const named = { ...terms, allowedFactorTypes: [FactorType.EMAIL] };
    const request = { terms: named, prepareFactorType: FactorType.EMAIL };
    const made = await service.mfa.createChallenge(request, session);
    expect((await codesFor(service, "ann"))[0]?.target).toBe("ann@example.com");
    const proof = {
      challengeId: made.challenge?.challengeId ?? "",
      proof: emailCode(await newestCode(service, "ann")),
    };
    const proven = await service.mfa.verifyChallenge(proof, session);
    expect(proven.challenge?.provenFactorType).toBe(FactorType.EMAIL);
  });

  test.each(["sms", "email"] as const)(
    "a code by %s is sent for a challenge by its id, proves it where it is typed, and is good in its session only",
    async (way) => {
      const service = await serviceForTest(engine);
      await switchOn(service);
      const { factorId: address } = await enrollEmail(service, "ann");
      const { factorId: number } = await enrollPhone(service, "ann");
      const [one, two] = [await inSession(service, "ann", "one"), await inSession(service, "ann", "two")];
      const { mfa } = service;
      const [send, verify, type] =
        way === "sms"
          ? ([mfa.sendSmsCode, mfa.verifySmsCode, FactorType.SMS] as const)
          : ([mfa.sendEmailCode, mfa.verifyEmailCode, FactorType.EMAIL] as const);
      const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop", allowedFactorTypes: [type] };
      const challengeId = (await mfa.createChallenge({ terms }, one)).challenge?.challengeId ?? "";

      expect((await failure(send({ challengeId }, two))).reason).toBe("NOT_FOUND");
      const { delivery } = await send({ challengeId, requestId: randomUUID() }, one);
      expect(delivery).toMatchObject({ challengeId, codeLength: 6 });
      const code = await newestCode(service, "ann");
      expect((await failure(verify({ challengeId, code }, two))).reason).toBe("CODE_REJECTED");
      expect((await failure(verify({ challengeId, code: otherThan(code) }, one))).reason).toBe("CODE_REJECTED");
      const { factorId } = await verify({ challengeId, code }, one);
      const after = await mfa.getChallenge({ challengeId }, one);
      expect(after.challenge).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: type });
      expect(factorId).toBe(way === "sms" ? number : address);
    },
  );

  test("of the session of a code no id is kept", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const id = "session-that-must-not-be-kept";
    await service.mfa.sendSmsCode({}, await inSession(service, "ann", id));
    const kept = Object.values(await everyRow(service.store)).flat();
    expect(kept.filter((row) => row.includes(id))).toEqual([]);
  });

  test("for a user without a number nothing is sent, and a backend is not told", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { challenge } = await sentFor(service, await backendOf(service));
    expect(challenge?.factors).toEqual([]);
    expect(await inboxOf(service)).toEqual([]);
  });

  test("a code whose row was moved to another user in the database proves nobody", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    await enrollPhone(service, "bob", phone(1));
    const { delivery } = await service.mfa.sendSmsCode({}, await service.user("ann"));
    const typed = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    const bobs = (await service.mfa.getMfaStatus({}, await service.user("bob"))).status !== undefined;
    expect(bobs).toBe(true);
    await service.execute("UPDATE otp_challenges SET user_id = 'bob' WHERE user_id = 'ann'");
    const moved = await failure(service.mfa.verifySmsCode(typed, await service.user("bob")));
    expect(moved.reason).toBe("DATA_TAMPERED");
    await service.execute("UPDATE otp_challenges SET user_id = 'ann' WHERE user_id = 'bob'");
    await service.mfa.verifySmsCode(typed, await service.user("ann"));
  });
});
