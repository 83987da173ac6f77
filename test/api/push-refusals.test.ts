import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { PushChallengeState, PushDenyReason } from "../../gen/mfa/v1/push_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf, inSession } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import {
  ASIDE,
  askedPhone,
  askPhone,
  newPhone,
  pairedPhone,
  pairPhone,
  reasonOf,
  startPush,
  stateOf,
  switchPushOn,
  wrongNumber,
} from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import type { ServiceUnderTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const transfer = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };

describe.each(engines)("approvals that are refused on $name", (engine) => {
  const start = () => startPush(engine);
  const paired = () => pairedPhone(engine);
  const asked = (fields: object = {}) => askedPhone(engine, fields);

  test("an approval of one action answers no challenge of another", async () => {
    const { service, phone, page, waiting } = await asked({ action: transfer });
    await phone.approve(waiting, page.number);
    const open = async (action?: object) => {
      const terms = { purpose: 2, audience: "shop", ...(action && { action }) };
      const { challenge } = await service.mfa.createChallenge({ terms }, page.token);
      const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
      return service.mfa.verifyChallenge({ challengeId: challenge?.challengeId ?? "", proof }, page.token);
    };
    const other = { ...transfer, parameters: { ...transfer.parameters, to: "Eve" } };
    for (const action of [undefined, other]) expect((await failure(open(action))).reason).toBe("SIGNATURE_REJECTED");
    expect((await open(transfer)).challenge?.state).toBe(ChallengeState.PROVEN);
  });

  test("the session that paired a phone is never approved by it, and no user's token approves at all", async () => {
    const { service } = await start();
    const phone = await pairPhone(service, "ann", { session: "one" });
    expect((await failure(askPhone(service, "ann", {}, "one"))).reason).toBe("FACTOR_NOT_ALLOWED");
    await pairPhone(service, "ann", { session: "two", acr: "aal2" });
    const page = await askPhone(service, "ann", {}, "one");
    expect(await phone.pending()).toEqual([]);
    const nonce = Buffer.alloc(16);
    const guessed = { pushChallengeId: page.pushChallengeId, nonce, actionDigest: Buffer.alloc(0) };
    const before = await everyRow(service.store, ASIDE);
    expect(await reasonOf(phone.approve(guessed, page.number))).toBe("SELF_ACTION");
    const signature = Buffer.alloc(64);
    const asUser = { pushChallengeId: page.pushChallengeId, number: page.number, signature };
    expect((await failure(service.mfa.approvePushChallenge(asUser, page.token))).reason).toBe("ACCESS_DENIED");
    expect(await everyRow(service.store, ASIDE)).toEqual(before);
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.PENDING);
  });

  test("where an issuer names no sessions, the log-in that paired a phone is never approved by it", async () => {
    const { service } = await start();
    const phone = await pairPhone(service, "ann", { session: "" });
    expect((await failure(askPhone(service, "ann", {}, ""))).reason).toBe("FACTOR_NOT_ALLOWED");
    await pairPhone(service, "ann", { session: "other", acr: "aal2" });
    const own = await askPhone(service, "ann", {}, "");
    expect(await phone.pending()).toEqual([]);
    const guessed = { pushChallengeId: own.pushChallengeId, nonce: Buffer.alloc(16), actionDigest: Buffer.alloc(0) };
    expect(await reasonOf(phone.approve(guessed, own.number))).toBe("SELF_ACTION");

    service.pass(3 * MINUTE);
    const later = await askPhone(service, "ann", {}, "");
    const [waiting] = await phone.pending();
    if (!waiting) throw new Error("nothing waits");
    expect(await reasonOf(phone.approve(waiting, later.number))).toBe("OK");
    expect(await stateOf(service, later.pushChallengeId, later.token)).toBe(PushChallengeState.APPROVED);
    const answered = async (token: string) => {
      const terms = { purpose: 1, audience: "shop" };
      const { challenge } = await service.mfa.createChallenge({ terms }, token);
      const proof = { kind: { case: "push" as const, value: later.pushChallengeId } };
      return reasonOf(service.mfa.verifyChallenge({ challengeId: challenge?.challengeId ?? "", proof }, token));
    };
    service.pass(1_000);
    expect(await answered(await inSession(service, "ann", ""))).toBe("NOT_FOUND");
    expect(await answered(later.token)).toBe("OK");
  });

  test("other users, tenants and devices find nothing, and change nothing", async () => {
    const { service, page, waiting } = await asked();
    await switchPushOn(service, {}, "acme");
    const strangers = [await pairPhone(service, "bob"), await pairPhone(service, "ann", { tenant: "acme" })];
    const before = await everyRow(service.store, ASIDE);
    for (const stranger of strangers) {
      expect(await stranger.pending()).toEqual([]);
      expect(await reasonOf(stranger.approve(waiting, page.number))).toBe("NOT_FOUND");
      expect(await reasonOf(stranger.deny(waiting))).toBe("NOT_FOUND");
    }
    const { pushChallengeId } = page;
    for (const token of [await inSession(service, "ann", "other"), await inSession(service, "bob", "web")]) {
      expect((await failure(service.mfa.getPushChallenge({ pushChallengeId }, token))).reason).toBe("NOT_FOUND");
    }
    const shop = await backendOf(service, "shop", "acme");
    const foreign = service.internal.getUserPushChallenge({ userId: "ann", pushChallengeId }, shop);
    expect((await failure(foreign)).reason).toBe("NOT_FOUND");
    expect(await everyRow(service.store, ASIDE)).toEqual(before);
  });

  test("a request for one device is not another's", async () => {
    const { service, phone } = await paired();
    const tablet = await pairPhone(service, "ann", { acr: "aal2", session: "later" });
    const page = await askPhone(service, "ann", { deviceId: phone.id() });
    expect(await tablet.pending()).toEqual([]);
    const [waiting] = await phone.pending();
    if (!waiting) throw new Error("nothing waits");
    expect(await reasonOf(tablet.approve(waiting, page.number))).toBe("NOT_FOUND");
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("OK");
  });

  test("an answer without a number, or without the right signature, is refused and changes nothing", async () => {
    const { service, phone, page, waiting } = await asked();
    const before = await everyRow(service.store, ASIDE);
    const { approvePushChallenge, denyPushChallenge } = MfaService.method;
    const { pushChallengeId } = page;
    const right = phone.answer(waiting, page.number, "approve");
    const altered = Buffer.from(right);
    altered[20] = (altered[20] ?? 0) ^ 1;
    const other = newPhone(service);
    const nonces = { ...waiting, nonce: Buffer.alloc(16) };
    const elsewhere = { ...waiting, pushChallengeId: "A".repeat(22) };
    for (const signature of [
      altered,
      Buffer.alloc(64),
      other.answer(waiting, page.number, "approve"),
      phone.answer(waiting, wrongNumber(page.number), "approve"),
      phone.answer(waiting, page.number, "deny"),
      phone.answer(nonces, page.number, "approve"),
      phone.answer(elsewhere, page.number, "approve"),
      phone.answer(waiting, "", "deny", "OTHER"),
    ]) {
      const call = phone.ask(approvePushChallenge, { pushChallengeId, number: page.number, signature });
      expect(await reasonOf(call)).toBe("SIGNATURE_REJECTED");
    }
    for (const signature of [right, phone.answer(waiting, "", "deny", "NOT_ME"), Buffer.alloc(64)]) {
      const call = phone.ask(denyPushChallenge, { pushChallengeId, denyReason: PushDenyReason.OTHER, signature });
      expect(await reasonOf(call)).toBe("SIGNATURE_REJECTED");
    }
    for (const fields of [
      { pushChallengeId, number: "", signature: right },
      { pushChallengeId, number: page.number, signature: Buffer.alloc(0) },
      { pushChallengeId, number: `0${page.number}`, signature: right },
    ]) {
      expect(await reasonOf(phone.ask(approvePushChallenge, fields))).toBe("INVALID_FIELD");
    }
    expect(await everyRow(service.store, ASIDE)).toEqual(before);
  });

  test("an approval is good once, for its challenge", async () => {
    const { service, phone, page, waiting } = await asked();
    const { approvePushChallenge } = MfaService.method;
    const signature = phone.answer(waiting, page.number, "approve");
    const approval = { pushChallengeId: page.pushChallengeId, number: page.number, signature };
    await phone.ask(approvePushChallenge, approval);
    const once = await everyRow(service.store, ASIDE);
    expect(await reasonOf(phone.ask(approvePushChallenge, approval))).toBe("WRONG_STATE");
    expect(await everyRow(service.store, ASIDE)).toEqual(once);
    service.pass(3 * MINUTE);
    const second = await askPhone(service, "ann");
    const moved = { ...approval, pushChallengeId: second.pushChallengeId };
    const before = await everyRow(service.store, ASIDE);
    expect(await reasonOf(phone.ask(approvePushChallenge, moved))).toBe("SIGNATURE_REJECTED");
    expect(await everyRow(service.store, ASIDE)).toEqual(before);
    expect(await stateOf(service, second.pushChallengeId, second.token)).toBe(PushChallengeState.PENDING);
  });

  test.each<
    [
      string,
      (at: { service: ServiceUnderTest; phone: Awaited<ReturnType<typeof pairPhone>> }) => Promise<unknown>,
      RegExp,
    ]
  >([
    [
      "its time is over",
      async ({ service }) => {
        service.pass(2 * MINUTE);
      },
      /CHALLENGE_EXPIRED/,
    ],
    [
      "the device is revoked",
      async ({ service, phone }) =>
        service.mfa.revokePushDevice(
          { deviceId: phone.id(), confirmLastFactor: true },
          await service.user("ann", "aal2"),
        ),
      /INVALID_CREDENTIAL/,
    ],
    [
      "the kind is deleted",
      async ({ service }) =>
        service.mfa.deleteFactor(
          { factorType: FactorType.PUSH, confirmLastFactor: true },
          await service.user("ann", "aal2"),
        ),
      /INVALID_CREDENTIAL/,
    ],
    ["another factor was enrolled", async ({ service }) => enrollApp(service, "ann", "aal2"), /CHALLENGE_EXPIRED/],
    [
      "the tenant switched approvals off",
      async ({ service }) => {
        await switchPushOn(service, { enabled: false });
        service.pass(2_000);
      },
      /FACTOR_NOT_ALLOWED/,
    ],
  ])("is not answered any more once %s", async (_, change, reason) => {
    const { service, phone, page, waiting } = await asked();
    await change({ service, phone });
    expect(await reasonOf(phone.approve(waiting, page.number))).toMatch(reason);
    const generic = await service.mfa.getChallenge({ challengeId: page.challengeId }, page.token);
    expect(generic.challenge?.state).not.toBe(ChallengeState.PROVEN);
  });

  test("who has no phone is told so, and a phone of somebody else is not found", async () => {
    const { service } = await paired();
    const other = await pairPhone(service, "bob");
    expect((await failure(askPhone(service, "eve"))).reason).toBe("NOT_ENROLLED");
    expect((await failure(askPhone(service, "ann", { deviceId: other.id() }))).reason).toBe("NOT_FOUND");
    const both = { challengeId: "A".repeat(22), action: transfer };
    expect((await failure(askPhone(service, "ann", both))).reason).toBe("INVALID_FIELD");
    expect((await failure(askPhone(service, "ann", { challengeId: "A".repeat(22) }))).reason).toBe("NOT_FOUND");
  });
});
