import { describe, expect, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { WebAuthnRequirement } from "../../gen/mfa/v1/webauthn_pb.js";
import { allowTransfers, backendOf } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollPasskey, Flag, makePasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const client = { ip: "203.0.113.7" };
const action = { type: "transfer.create", parameters: { amount: "10.00 EUR", to: "bob" } };

const optionsOf = ({
  preparation,
}: {
  preparation?: { kind: { case?: string | undefined; value?: unknown } } | undefined;
}) => (preparation?.kind.case === "webauthnOptions" ? (preparation.kind.value as never) : undefined);

async function ask(service: ServiceUnderTest, userId: string, terms = {}) {
  const shop = await backendOf(service);
  const created = await service.internal.createUserChallenge(
    {
      ...{ userId, client, prepareFactorType: FactorType.WEBAUTHN },
      terms: { purpose: ChallengePurpose.LOG_IN, sessionId: "s-1", nonce: "n-1", ...terms },
    },
    shop,
  );
  return { shop, created, challengeId: created.challenge?.challengeId ?? "" };
}

describe.each(engines)("challenges by passkey on $name", (engine) => {
  test("a backend has a user prove a passkey for an action, which is inside of what was signed", async () => {
    const service = await serviceForTest(engine);
    const { passkey, credential } = await enrollPasskey(service, "ann");
    const { shop, created, challengeId } = await ask(service, "ann", { action, requireAuthenticatorBinding: true });
    const proof = { kind: { case: "webauthn", value: passkey.get(optionsOf(created)) } } as const;
    const { challenge } = await service.internal.verifyUserChallenge(
      { userId: "ann", challengeId, proof, client },
      shop,
    );
    expect(challenge).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.WEBAUTHN });
    const redeem = { userId: "ann", challengeId, sessionId: "s-1", nonce: "n-1", action, client };
    const redeemed = await service.internal.redeemChallenge(redeem, shop);
    expect(redeemed.factorId).toBe(credential.credentialId);
    expect(redeemed.assertion?.actionBinding).toBe(ActionBinding.AUTHENTICATOR);
    expect(redeemed.assertion?.amr).toEqual(expect.arrayContaining(["hwk", "user", "mfa"]));
  });

  test("by policy a passkey that verified its user stands for both factors, and says so on offer and in the assertion", async () => {
    const alone = "urn:mfa:amr:passkey-alone";
    for (const [passkeyAlone, flags, expected] of [
      [true, Flag.UP | Flag.UV, true],
      [true, Flag.UP, false],
      [false, Flag.UP | Flag.UV, false],
    ] as const) {
      const service = await serviceForTest(engine);
      const userVerification = WebAuthnRequirement.PREFERRED;
      await setTenant(service, { webauthn: { passkeyAlone, userVerification } });
      const { passkey, credential, aal1 } = await enrollPasskey(service, "ann", makePasskey({ flags }));
      const { shop, created, challengeId } = await ask(service, "ann");
      const offer = { factorId: credential.credentialId, passkeyAlone: expected };
      expect(created.challenge?.factors).toMatchObject([offer]);
      expect((await service.internal.evaluateMfa({ userId: "ann", client }, shop)).factors).toMatchObject([offer]);
      const proof = { kind: { case: "webauthn", value: passkey.get(optionsOf(created)) } } as const;
      await service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, shop);
      const redeem = { userId: "ann", challengeId, sessionId: "s-1", nonce: "n-1", client };
      const { assertion } = await service.internal.redeemChallenge(redeem, shop);
      expect(assertion?.acr).toBe("aal2");
      expect(assertion?.amr.includes(alone)).toBe(expected);
      const { options } = await service.mfa.startWebAuthnAuthentication({}, aal1);
      const again = { kind: { case: "webauthn", value: passkey.get(options) } } as const;
      const stepUp = await service.mfa.stepUp({ audience: "shop", proof: again }, aal1);
      expect(stepUp.assertion?.amr.includes(alone)).toBe(expected);
    }
  });

  test("a passkey stands for both factors only where the tenant still says so when its challenge is redeemed", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { webauthn: { passkeyAlone: true } });
    const { passkey } = await enrollPasskey(service, "ann");
    const { shop, created, challengeId } = await ask(service, "ann");
    const proof = { kind: { case: "webauthn", value: passkey.get(optionsOf(created)) } } as const;
    await service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, shop);
    await setTenant(service, { webauthn: { passkeyAlone: false } });
    const redeem = { userId: "ann", challengeId, sessionId: "s-1", nonce: "n-1", client };
    const { assertion } = await service.internal.redeemChallenge(redeem, shop);
    expect(assertion?.amr).toEqual(expect.arrayContaining(["hwk", "mfa"]));
    expect(assertion?.amr).not.toContain("urn:mfa:amr:passkey-alone");
  });

  test("a challenge is proved at whichever relying party the user has a passkey, or the page asks for", async () => {
    const service = await serviceForTest(engine);
    const [a, b] = ["https://a.example", "https://b.example"];
    await setTenant(service, { webauthn: { rpIds: ["a.example", "b.example"], origins: [a, b] } });
    const token = await service.user("ann", "aal2");
    const register = async (rpId: string) => {
      const passkey = makePasskey();
      const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({ rpId }, token);
      const response = passkey.create(options, { origin: `https://${rpId}` });
      await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
      return passkey;
    };
    const onB = await register("b.example");
    const { shop, created, challengeId } = await ask(service, "ann");
    expect(optionsOf(created)).toMatchObject({ rpId: "b.example", allowCredentials: [{ id: onB.id }] });
    const proof = { kind: { case: "webauthn", value: onB.get(optionsOf(created), { origin: b }) } } as const;
    const proven = await service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, shop);
    expect(proven.challenge?.state).toBe(ChallengeState.PROVEN);

    await allowTransfers(service);
    const onA = await register("a.example");
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop", action };
    for (const [rpId, passkey] of [
      ["", onA],
      ["b.example", onB],
    ] as const) {
      const { challenge } = await service.mfa.createChallenge({ terms }, token);
      const start = { challengeId: challenge?.challengeId ?? "", rpId };
      const { ceremonyId, options, renderedAction } = await service.mfa.startWebAuthnAuthentication(start, token);
      expect(options).toMatchObject({ rpId: rpId || "a.example", allowCredentials: [{ id: passkey.id }] });
      expect(renderedAction).toContain("to: bob");
      const response = passkey.get(options, { origin: rpId ? b : a });
      const finished = await service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, token);
      expect(finished.challenge?.state).toBe(ChallengeState.PROVEN);
    }
    const { challenge } = await service.mfa.createChallenge({ terms }, token);
    const foreign = { challengeId: challenge?.challengeId ?? "", rpId: "c.example" };
    expect((await failure(service.mfa.startWebAuthnAuthentication(foreign, token))).reason).toBe("POLICY_FORBIDS");
  });

  test("a page that asks for a verified user before a challenge gets no less", async () => {
    const service = await serviceForTest(engine);
    const { passkey, aal1 } = await enrollPasskey(service, "ann");
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const { challenge } = await service.mfa.createChallenge({ terms }, aal1);
    const start = { challengeId: challenge?.challengeId ?? "", userVerification: WebAuthnRequirement.REQUIRED };
    const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication(start, aal1);
    expect(options).toMatchObject({ userVerification: "required" });
    const response = passkey.get(options, { flip: Flag.UV });
    const refused = await failure(service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, aal1));
    expect(refused.reason).toBe("SIGNATURE_REJECTED");
    const again = await service.mfa.startWebAuthnAuthentication(start, aal1);
    const good = { ceremonyId, response: passkey.get(again.options) };
    expect(await service.mfa.finishWebAuthnAuthentication(good, aal1)).toMatchObject({ userVerified: true });
  });

  test("a device-bound strength takes no synced passkey", async () => {
    const service = await serviceForTest(engine);
    const strength = AuthenticationStrength.DEVICE_BOUND;
    const synced = await enrollPasskey(service, "ann", makePasskey({ synced: true }));
    await enrollPasskey(service, "ann");
    const { shop, created, challengeId } = await ask(service, "ann", { strength });
    const proof = { kind: { case: "webauthn", value: synced.passkey.get(optionsOf(created)) } } as const;
    const call = service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, shop);
    expect((await failure(call)).reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("the page of a user proves a challenge by the ceremony that shares its id", async () => {
    const service = await serviceForTest(engine);
    await allowTransfers(service);
    const { passkey, credential, aal1 } = await enrollPasskey(service, "ann");
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop", action };
    const { challenge } = await service.mfa.createChallenge({ terms }, aal1);
    const challengeId = challenge?.challengeId ?? "";
    const first = await service.mfa.startWebAuthnAuthentication({ challengeId }, aal1);
    const second = await service.mfa.startWebAuthnAuthentication({ challengeId }, aal1);
    expect(second.ceremonyId).toBe(challengeId);
    expect(second.renderedAction).toContain("10.00 EUR");
    // Started again, the earlier options are dead, and their answer spends the ceremony as any wrong one.
    const early = { ceremonyId: challengeId, response: passkey.get(first.options) };
    expect((await failure(service.mfa.finishWebAuthnAuthentication(early, aal1))).reason).toBe("CHALLENGE_EXPIRED");
    const answer = { ceremonyId: challengeId, response: passkey.get(second.options) };
    const proven = await service.mfa.finishWebAuthnAuthentication(answer, aal1);
    expect(proven).toMatchObject({ credentialId: credential.credentialId, userVerified: true });
    expect(proven.challenge).toMatchObject({ state: ChallengeState.PROVEN, challengeId });
    expect((await failure(service.mfa.finishWebAuthnAuthentication(answer, aal1))).reason).toBe("WRONG_STATE");
  });

  test("a proof that binds one action is good for no other, and one for a challenge for nothing else", async () => {
    const service = await serviceForTest(engine);
    await allowTransfers(service);
    const { passkey, aal1 } = await enrollPasskey(service, "ann");
    const start = async () => {
      const { options, renderedAction } = await service.mfa.startWebAuthnAuthentication({ action }, aal1);
      expect(renderedAction).toContain("to: bob");
      return { kind: { case: "webauthn", value: passkey.get(options) } } as const;
    };
    const other = { ...action, parameters: { ...action.parameters, to: "mallory" } };
    const audience = "shop";
    const swapped = service.mfa.stepUp({ audience, action: other, proof: await start() }, aal1);
    expect((await failure(swapped)).reason).toBe("SIGNATURE_REJECTED");
    const dropped = service.mfa.stepUp({ audience, proof: await start() }, aal1);
    expect((await failure(dropped)).reason).toBe("SIGNATURE_REJECTED");
    const { assertion } = await service.mfa.stepUp({ audience, action, proof: await start() }, aal1);
    expect(assertion?.actionBinding).toBe(ActionBinding.AUTHENTICATOR);

    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const created = await service.mfa.createChallenge({ terms, prepareFactorType: FactorType.WEBAUTHN }, aal1);
    const proof = { kind: { case: "webauthn", value: passkey.get(optionsOf(created)) } } as const;
    expect((await failure(service.mfa.stepUp({ audience, proof }, aal1))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("a backend sees options of the same shape for a user who has nothing", async () => {
    const service = await serviceForTest(engine);
    await enrollPasskey(service, "ann");
    const [known, unknown] = [await ask(service, "ann"), await ask(service, "nobody")];
    const shape = (options: object | undefined) => Object.keys(options ?? {});
    expect(shape(optionsOf(unknown.created))).toEqual(shape(optionsOf(known.created)));
    expect(shape(optionsOf(unknown.created))).toContain("allowCredentials");
    const again = await ask(service, "nobody");
    const named = (options: object | undefined) =>
      (options as { allowCredentials: unknown } | undefined)?.allowCredentials;
    expect(named(optionsOf(again.created))).toEqual(named(optionsOf(unknown.created)));
  });
});
