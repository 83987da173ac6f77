import { describe, expect, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { backendOf, inSession, redeem } from "../support/challenges.ts";
import { failure } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { askedPhone, pairPhone, stateOf } from "../support/push.ts";

const MINUTE = 60_000;
const transfer = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };

describe.each(engines)("what an approval is good for on $name", (engine) => {
  const asked = (fields: object = {}) => askedPhone(engine, fields);

  test("an approval answers another challenge of the session, once, and of no other session", async () => {
    const { service, phone, page, waiting } = await asked();
    const open = async (session: string) => {
      const token = await inSession(service, "ann", session);
      const terms = { purpose: 2, audience: "shop" };
      const { challenge } = await service.mfa.createChallenge({ terms }, token);
      const challengeId = challenge?.challengeId ?? "";
      const proof = { kind: { case: "push" as const, value: page.challengeId } };
      return () => service.mfa.verifyChallenge({ challengeId, proof }, token);
    };
    const [own, again, foreign] = [await open("web"), await open("web"), await open("cafe")];
    expect((await failure(own())).reason).toBe("WRONG_STATE");
    await phone.approve(waiting, page.number);
    expect((await failure(foreign())).reason).toBe("NOT_FOUND");
    expect((await own()).challenge?.state).toBe(ChallengeState.PROVEN);
    expect((await failure(again())).reason).toBe("CHALLENGE_EXPIRED");
    expect(await stateOf(service, page.challengeId, page.token)).toBe(PushChallengeState.REDEEMED);
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
    expect(await stateOf(service, challengeId, token)).toBe(PushChallengeState.REDEEMED);
    const { challenges } = await service.mfa.listPushChallenges(
      { state: PushChallengeState.REDEEMED },
      await service.user("ann", "aal2"),
    );
    expect(challenges.map((one) => one.challengeId)).toEqual([challengeId]);
  });

  test("an approval steps a session up, once", async () => {
    const { service, phone, page, waiting } = await asked({ action: transfer });
    await phone.approve(waiting, page.number);
    const proof = { kind: { case: "push" as const, value: page.challengeId } };
    const stepUp = (action?: object) =>
      service.mfa.stepUp({ proof, audience: "shop", ...(action && { action }) }, page.token);
    expect((await failure(stepUp())).reason).toBe("SIGNATURE_REJECTED");
    const { assertion } = await stepUp(transfer);
    expect(assertion?.actionBinding).toBe(ActionBinding.AUTHENTICATOR);
    expect((await failure(stepUp(transfer))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("what is approved dies with a lock, a change of factors and its time", async () => {
    const { service, phone, page, waiting } = await asked();
    await phone.approve(waiting, page.number);
    const state = () => stateOf(service, page.challengeId, page.token);
    expect(await state()).toBe(PushChallengeState.APPROVED);
    await pairPhone(service, "ann", { acr: "aal2", session: "later" });
    expect(await state()).toBe(PushChallengeState.CANCELLED);
    service.pass(6 * MINUTE);
    expect(await state()).toBe(PushChallengeState.EXPIRED);
  });
});
