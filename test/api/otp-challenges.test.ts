import { describe, expect, test, vi } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { DeliveryState } from "../../gen/mfa/v1/otp_pb.js";
import { enrolApp } from "../support/authenticator.ts";
import { backendOf, inSession, logIn } from "../support/challenges.ts";
import { failure, tally } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { enrolEmail, enrolPhone, inboxOf, newestCode, otherThan, phone, switchOn } from "../support/otp.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/service.ts";

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
    const { factorId } = await enrolPhone(service, "ann");
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
    await enrolPhone(service, "ann");
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
    // Enrolment, first and second: the fourth in ten minutes is refused, and no challenge is made.
    expect((await failure(sentFor(service, backend))).reason).toBe("RATE_LIMITED");
  });

  test("the code of a challenge is good nowhere else, and no other code is good there", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrolPhone(service, "ann");
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
    await enrolPhone(service, "ann");
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

  test("e-mail answers only where it is named, and never where a second factor is asked for", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrolEmail(service, "ann");
    await enrolApp(service, "ann");
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
    expect((await inboxOf(service, "ann"))[0]?.target).toBe("ann@example.com");
    const proof = {
      challengeId: made.challenge?.challengeId ?? "",
      proof: emailCode(await newestCode(service, "ann")),
    };
    const proven = await service.mfa.verifyChallenge(proof, session);
    expect(proven.challenge?.provenFactorType).toBe(FactorType.EMAIL);
  });

  test("for a user without a number nothing is sent, and a backend is not told", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { challenge } = await sentFor(service, await backendOf(service));
    expect(challenge?.factors).toEqual([]);
    expect(await inboxOf(service)).toEqual([]);
  });
});
