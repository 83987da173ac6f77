import { describe, expect, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf, inSession, logIn, redeem } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import {
  askedPhone,
  askPhone,
  type Phone,
  pairedPhone,
  pairPhone,
  stateOf,
  switchPushOn,
} from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import type { ServiceUnderTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const transfer = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };

describe.each(engines)("what an approval is good for on $name", (engine) => {
  const asked = (fields: object = {}) => askedPhone(engine, fields);

  test("an approval answers another challenge of the session, once, and of no other session", async () => {
    const { service, phone, page, waiting } = await asked();
    const open = async (session: string) => {
      const token = await inSession(service, "ann", session);
      const terms = { purpose: 1, audience: "shop" };
      const { challenge } = await service.mfa.createChallenge({ terms }, token);
      const challengeId = challenge?.challengeId ?? "";
      const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
      return () => service.mfa.verifyChallenge({ challengeId, proof }, token);
    };
    const [own, again, foreign] = [await open("web"), await open("web"), await open("cafe")];
    expect((await failure(own())).reason).toBe("WRONG_STATE");
    await phone.approve(waiting, page.number);
    expect((await failure(foreign())).reason).toBe("NOT_FOUND");
    expect((await own()).challenge?.state).toBe(ChallengeState.PROVEN);
    expect((await failure(again())).reason).toBe("CHALLENGE_EXPIRED");
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.REDEEMED);
  });

  test("an approval is redeemed once, by the backend it is for, as a signed statement", async () => {
    const { service, phone, page, waiting } = await asked({ audience: "shop", action: transfer });
    const { challengeId, token } = page;
    const [shop, bank] = [await backendOf(service), await backendOf(service, "bank")];
    const asShown = { challengeId, sessionId: "web", action: transfer };
    expect((await failure(redeem(service, shop, asShown))).reason).toBe("WRONG_STATE");
    await phone.approve(waiting, page.number);
    expect((await failure(redeem(service, bank, asShown))).reason).toBe("NOT_FOUND");
    const altered = { ...transfer, parameters: { ...transfer.parameters, amount: "100000 EUR" } };
    for (const wrong of [
      { ...asShown, action: altered },
      { ...asShown, sessionId: "cafe" },
    ]) {
      expect((await failure(redeem(service, shop, wrong))).reason).toBe("ASSERTION_REJECTED");
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => redeem(service, shop, asShown)));
    const won = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    expect(won).toHaveLength(1);
    expect(won[0]).toMatchObject({ factorType: FactorType.PUSH, factorId: phone.id() });
    expect(won[0]?.assertion).toMatchObject({ acr: "aal2", amr: ["swk", "mca", "mfa"] });
    expect(won[0]?.assertion?.actionBinding).toBe(ActionBinding.AUTHENTICATOR);
    expect(await stateOf(service, page.pushChallengeId, token)).toBe(PushChallengeState.REDEEMED);
    const { challenges } = await service.mfa.listPushChallenges(
      { state: PushChallengeState.REDEEMED },
      await service.user("ann", "aal2"),
    );
    expect(challenges.map((one) => one.pushChallengeId)).toEqual([page.pushChallengeId]);
    expect([page.challenge?.challengeId, challenges[0]?.challengeId]).toEqual([challengeId, ""]);
  });

  test("an approval steps a session up, once", async () => {
    const { service, phone, page, waiting } = await asked({ action: transfer });
    await phone.approve(waiting, page.number);
    const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
    const stepUp = (action?: object) =>
      service.mfa.stepUp({ proof, audience: "shop", ...(action && { action }) }, page.token);
    expect((await failure(stepUp())).reason).toBe("SIGNATURE_REJECTED");
    const { assertion } = await stepUp(transfer);
    expect(assertion?.actionBinding).toBe(ActionBinding.AUTHENTICATOR);
    expect((await failure(stepUp(transfer))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("what is approved dies with a change of factors and with its time", async () => {
    const { service, phone, page, waiting } = await asked();
    await phone.approve(waiting, page.number);
    const state = () => stateOf(service, page.pushChallengeId, page.token);
    expect(await state()).toBe(PushChallengeState.APPROVED);
    await pairPhone(service, "ann", { acr: "aal2", session: "later" });
    expect(await state()).toBe(PushChallengeState.CANCELLED);
    service.pass(6 * MINUTE);
    expect(await state()).toBe(PushChallengeState.EXPIRED);
  });

  test("an approval for one audience is good for no other", async () => {
    const { service, phone, page, waiting } = await asked({ audience: "shop", action: transfer });
    await phone.approve(waiting, page.number);
    const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
    const stepUp = (audience: string) => service.mfa.stepUp({ proof, audience, action: transfer }, page.token);
    expect((await failure(stepUp("bank"))).reason).toBe("CHALLENGE_EXPIRED");
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.APPROVED);
    expect((await stepUp("shop")).assertion?.acr).toBe("aal2");
  });

  type Approved = { service: ServiceUnderTest; phone: Phone; page: Awaited<ReturnType<typeof askPhone>> };
  test.each<[string, (at: Approved) => Promise<unknown>, string]>([
    ["its five minutes are over", async ({ service }) => service.pass(5 * MINUTE), "CHALLENGE_EXPIRED"],
    [
      "the page has taken it back",
      ({ service, page }) => service.mfa.cancelChallenge({ challengeId: page.challengeId }, page.token),
      "CHALLENGE_EXPIRED",
    ],
    [
      "codes were locked, even after the lock is over",
      async ({ service }) => {
        for (let n = 0; n < 5; n++) {
          const wrong = { userId: "ann", code: "000000", client: {} };
          await failure(service.internal.verifyUserTotpCode(wrong, await service.backend("mfa.verify")));
        }
        service.pass(2 * MINUTE);
      },
      "CHALLENGE_EXPIRED",
    ],
    [
      "the phone is revoked",
      async ({ service, phone }) =>
        service.mfa.revokePushDevice({ deviceId: phone.id() }, await service.user("ann", "aal2")),
      "CHALLENGE_EXPIRED",
    ],
    [
      "the kind is deleted",
      async ({ service }) =>
        service.mfa.deleteFactor({ factorType: FactorType.PUSH }, await service.user("ann", "aal2")),
      "CHALLENGE_EXPIRED",
    ],
    ["another phone is paired", async ({ service }) => pairPhone(service, "ann", { acr: "aal2" }), "CHALLENGE_EXPIRED"],
    [
      "an administrator has reset the user",
      async ({ service }) => service.admin.resetUserMfa({ userId: "ann", reason: "lost" }, await adminOf(service)),
      "CHALLENGE_EXPIRED",
    ],
    [
      "the user's password was changed",
      async ({ service }) =>
        service.internal.revokeUserTrust(
          { userId: "ann", reason: "password changed", client: {} },
          await service.backend("mfa.factors.write"),
        ),
      "CHALLENGE_EXPIRED",
    ],
    [
      "the tenant has switched approvals off",
      async ({ service }) => {
        await switchPushOn(service, { enabled: false });
        service.pass(2_000);
      },
      "FACTOR_NOT_ALLOWED",
    ],
  ])("an approval is not redeemed any more once %s", async (_, change, reason) => {
    const { service, phone } = await pairedPhone(engine);
    await enrollApp(service, "ann", "aal2");
    const page = await askPhone(service, "ann", { audience: "shop" });
    const [waiting] = await phone.pending();
    if (waiting) await phone.approve(waiting, page.number);
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.APPROVED);
    await change({ service, phone, page });
    const redemption = redeem(service, await backendOf(service), { challengeId: page.challengeId, sessionId: "web" });
    expect((await failure(redemption)).reason).toBe(reason);
  });

  test("what a backend asked a phone for is that backend's: no page and no other backend uses the approval up", async () => {
    const { service, phone } = await pairedPhone(engine);
    const [shop, bank] = [await backendOf(service), await backendOf(service, "bank")];
    for (const sessionId of ["web", ""]) {
      const creating = { ...logIn("ann", { sessionId }), prepareFactorType: FactorType.PUSH };
      const { challenge, preparation } = await service.internal.createUserChallenge(creating, shop);
      const pushId = preparation?.kind.case === "push" ? preparation.kind.value.pushChallengeId : "";
      const [waiting] = await phone.pending();
      const number = preparation?.kind.case === "push" ? preparation.kind.value.number : "";
      if (waiting) await phone.approve(waiting, number);
      const proof = { kind: { case: "push" as const, value: pushId } };
      const token = sessionId
        ? await inSession(service, "ann", sessionId)
        : await service.mint({ audience: "mfa", subject: "ann", session: "" });
      const stepUp = service.mfa.stepUp({ proof, audience: "bank" }, token);
      expect((await failure(stepUp)).reason).toBe("NOT_FOUND");
      const { challenge: other } = await service.internal.createUserChallenge(logIn("ann", { sessionId }), bank);
      const verifying = { userId: "ann", challengeId: other?.challengeId ?? "", proof, client: {} };
      expect((await failure(service.internal.verifyUserChallenge(verifying, bank))).reason).toBe("NOT_FOUND");
      const { assertion } = await redeem(service, shop, { challengeId: challenge?.challengeId ?? "", sessionId });
      expect(assertion?.acr).toBe("aal2");
      service.pass(10 * MINUTE);
    }
  });
});
