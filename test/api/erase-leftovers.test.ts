import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ChallengePurpose } from "../../gen/mfa/v1/challenge_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, inSession, redeem, totp } from "../support/actors/backend.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { askPhone, newPhone, pairPhone, reasonOf, switchPushOn } from "../support/actors/push-phones.ts";
import { ticketOffice } from "../support/actors/ticket-office.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const AFTERMATH = 60_000;
const RACES = 5;
const userId = "ann";
const transfer = { type: "transfer.create", parameters: { amount: "100 EUR" } };

/** Leaves something of Ann's that is good for something, and answers how it is put to use. */
type Leftover = (service: ServiceUnderTest) => Promise<() => Promise<unknown>>;

const erase = async ({ internal, backend }: ServiceUnderTest) =>
  internal.eraseUser({ userId, erasureId: randomUUID() }, await backend("mfa.erase"));

const proven: (service: ServiceUnderTest) => Promise<string> = async (service) => {
  const app = await enrollApp(service, userId);
  const shop = await backendOf(service);
  const challengeId = await createFor(service, userId, shop);
  await answer(service, shop, { userId, challengeId, code: await app.code() });
  return challengeId;
};

const asserted = async (service: ServiceUnderTest) => {
  const challengeId = await proven(service);
  return (await redeem(service, await backendOf(service), { userId, challengeId })).assertion?.token ?? "";
};

const introspect = async (service: ServiceUnderTest, token: string) =>
  service.internal.verifyAssertion({ userId, token }, await backendOf(service));

const approved = async (service: ServiceUnderTest) => {
  await switchPushOn(service);
  const phone = await pairPhone(service, userId);
  const page = await askPhone(service, userId, { audience: "shop", action: transfer });
  const [waiting] = await phone.pending();
  if (!waiting) throw new Error("nothing waits");
  return { phone, page, waiting, approve: () => phone.approve(waiting, page.number) };
};

const pending = async (service: ServiceUnderTest) => {
  const app = await enrollApp(service, userId);
  const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
  const token = await inSession(service, userId, "one");
  const { challenge } = await service.mfa.createChallenge({ terms }, token);
  const code = await app.code();
  const finish = (by: string) =>
    service.mfa.stepUp({ proof: totp(code), challengeId: challenge?.challengeId ?? "" }, by);
  return { token, finish };
};

/** What is left, and the refusals: at once, when the aftermath is over, and of who came anew under the same id. */
const leftovers: [name: string, leave: Leftover, refusals: [string, string, string]][] = [
  [
    "a proven challenge is not redeemed",
    async (service) => {
      const challengeId = await proven(service);
      return async () => redeem(service, await backendOf(service), { userId, challengeId });
    },
    ["CONFLICT", "NOT_FOUND", "NOT_FOUND"],
  ],
  [
    "a challenge that a phone approved is not redeemed",
    async (service) => {
      const { page, approve } = await approved(service);
      await approve();
      const asked = { userId, challengeId: page.challengeId, sessionId: "web", action: transfer };
      return async () => redeem(service, await backendOf(service), asked);
    },
    ["CONFLICT", "NOT_FOUND", "NOT_FOUND"],
  ],
  [
    "an approval proves nothing else",
    async (service) => {
      const { page, approve } = await approved(service);
      await approve();
      const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
      return async () => service.mfa.stepUp({ proof, audience: "shop" }, await inSession(service, userId, "web"));
    },
    ["INVALID_CREDENTIAL", "NOT_FOUND", "NOT_FOUND"],
  ],
  [
    "a phone approves nothing",
    async (service) => (await approved(service)).approve,
    ["INVALID_CREDENTIAL", "INVALID_CREDENTIAL", "INVALID_CREDENTIAL"],
  ],
  [
    "an assertion is not active",
    async (service) => {
      const token = await asserted(service);
      return () => introspect(service, token);
    },
    ["ASSERTION_REJECTED", "ASSERTION_REJECTED", "ASSERTION_REJECTED"],
  ],
  [
    "an assertion for our own RPCs opens none",
    async (service) => {
      const app = await enrollApp(service, userId);
      const action = { type: "mfa.rpc", parameters: { name: "GenerateBackupCodes" } };
      const asked = { proof: totp(await app.code()), audience: "mfa", action };
      const { assertion } = await service.mfa.stepUp(asked, await inSession(service, userId, "one"));
      const header = { "mfa-assertion": assertion?.token ?? "" };
      return async () => service.mfa.generateBackupCodes({}, await inSession(service, userId, "one"), header);
    },
    // What it raises to was proved before the erasure, as of a token from then.
    ["INVALID_CREDENTIAL", "INVALID_CREDENTIAL", "ASSERTION_REJECTED"],
  ],
  [
    "a ticket enrolls nothing",
    async (service) => {
      const { holder } = await ticketOffice(service);
      const header = await holder(userId);
      return () => service.mfa.startTotpEnrollment({}, undefined, header);
    },
    ["INVALID_CREDENTIAL", "INVALID_CREDENTIAL", "INVALID_CREDENTIAL"],
  ],
  [
    "a step-up is not finished by the token from before",
    async (service) => {
      const { token, finish } = await pending(service);
      return () => finish(token);
    },
    ["INVALID_CREDENTIAL", "INVALID_CREDENTIAL", "INVALID_CREDENTIAL"],
  ],
  [
    "a step-up is not finished by a newer token",
    async (service) => {
      const { finish } = await pending(service);
      return async () => finish(await inSession(service, userId, "one"));
    },
    ["INVALID_CREDENTIAL", "NOT_FOUND", "NOT_FOUND"],
  ],
  [
    "a pairing code pairs no phone",
    async (service) => {
      await switchPushOn(service);
      const { pairingToken } = await service.mfa.startPushDeviceEnrollment({}, await service.user(userId));
      return () => newPhone(service).pair(pairingToken);
    },
    ["INVALID_CREDENTIAL", "INVALID_CREDENTIAL", "INVALID_CREDENTIAL"],
  ],
  [
    "a passkey finishes no ceremony",
    async (service) => {
      const { passkey } = await enrollPasskey(service, userId);
      const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, await service.user(userId));
      if (!options) throw new Error("no options");
      const answered = { ceremonyId, response: passkey.get(options) };
      return async () => service.mfa.finishWebAuthnAuthentication(answered, await service.user(userId));
    },
    ["INVALID_CREDENTIAL", "CHALLENGE_EXPIRED", "CHALLENGE_EXPIRED"],
  ],
  [
    "a temporary pass lets nobody in",
    async (service) => {
      const asked = { userId, reason: "lost" };
      const { code } = await service.admin.issueTemporaryPass(asked, await adminOf(service));
      const proof = { kind: { case: "temporaryPass" as const, value: code } };
      return async () => service.mfa.stepUp({ proof, audience: "shop" }, await service.user(userId));
    },
    ["INVALID_CREDENTIAL", "NOT_ENROLLED", "NOT_ENROLLED"],
  ],
];

describe.each(engines)("what an erased user leaves on $name", (engine) => {
  test.each(leftovers)("%s", async (_, leave, refusals) => {
    const service = await serviceForTest(engine);
    const use = await leave(service);
    await erase(service);
    const atOnce = await reasonOf(use());
    service.pass(AFTERMATH);
    const later = await reasonOf(use());
    await enrollApp(service, userId);
    expect([atOnce, later, await reasonOf(use())]).toEqual(refusals);
  });

  test("a redemption beside the erasure leaves no assertion that is active", async () => {
    const service = await serviceForTest(engine);
    for (let round = 0; round < RACES; round++) {
      const challengeId = await proven(service);
      const shop = await backendOf(service);
      const redeemed = redeem(service, shop, { userId, challengeId }).then(
        ({ assertion }) => assertion?.token ?? "",
        () => "",
      );
      const [token] = await Promise.all([redeemed, erase(service)]);
      service.pass(AFTERMATH);
      const found = token === "" ? "ASSERTION_REJECTED" : await reasonOf(introspect(service, token));
      expect(found).toBe("ASSERTION_REJECTED");
    }
  });
});
