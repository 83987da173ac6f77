import { describe, expect, test, vi } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { backendOf, createFor, inSession, logIn } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollEmail, inboxOf, switchOn } from "../support/actors/one-time-codes.ts";
import {
  askedPhone,
  askPhone,
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
import { eventsOf } from "../support/report/records.ts";

const MINUTE = 60_000;

describe.each(engines)("limits of approvals on $name", (engine) => {
  const paired = () => pairedPhone(engine);
  const asked = (fields: object = {}) => askedPhone(engine, fields);

  test("three wrong numbers end a request, and count towards the lock of all codes", async () => {
    const { service, phone, page, waiting } = await asked();
    const wrong = wrongNumber(page.number);
    for (let n = 0; n < 3; n++) expect(await reasonOf(phone.approve(waiting, wrong))).toBe("CODE_REJECTED");
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.FAILED);
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("WRONG_STATE");
    const { challenge } = await service.mfa.getChallenge({ challengeId: page.challengeId }, page.token);
    expect(challenge?.state).toBe(ChallengeState.CANCELLED);

    service.pass(1_000);
    const second = await askPhone(service, "ann");
    const [again] = await phone.pending();
    if (!again) throw new Error("nothing waits");
    for (let n = 0; n < 2; n++) {
      expect(await reasonOf(phone.approve(again, wrongNumber(second.number)))).toBe("CODE_REJECTED");
    }
    expect(await reasonOf(phone.approve(again, second.number))).toMatch(/LOCKED|CHALLENGE_EXPIRED/);
    expect(await stateOf(service, second.pushChallengeId, second.token)).toBe(PushChallengeState.CANCELLED);
  });

  test("a report locks the user's codes where the tenant wants that", async () => {
    const { service, phone, waiting, page } = await asked();
    await switchPushOn(service, { lockWhenReported: true });
    service.pass(2_000);
    await phone.deny(waiting, "NOT_ME");
    const status = await service.mfa.getMfaStatus({}, page.token);
    expect(status.status?.lock?.codesLocked).toBe(true);
    service.pass(20 * MINUTE);
    expect((await failure(askPhone(service, "ann"))).reason).toBe("LOCKED");
    service.pass(41 * MINUTE);
    expect((await askPhone(service, "ann")).number).toMatch(/^\d\d$/);
  });

  test("nobody is bombed: one request at a time, five in ten minutes, none for a quarter after two denials", async () => {
    const { service, phone, admin } = await paired();
    const limited = async () => {
      const { reason, retryAfterMs } = await failure(askPhone(service, "ann"));
      return { reason, retryAfterMs };
    };
    const asked = await Promise.all(Array.from({ length: 100 }, () => reasonOf(askPhone(service, "ann"))));
    expect(asked.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(asked.filter((outcome) => outcome === "RATE_LIMITED")).toHaveLength(99);
    expect(await limited()).toEqual({ reason: "RATE_LIMITED", retryAfterMs: 2 * MINUTE });
    const { blocked, total } = await service.admin.getPushStats({}, admin);
    expect({ blocked, total }).toEqual({ blocked: 0n, total: 0n }); // the window ends now, and so begins after
    for (let n = 0; n < 4; n++) {
      service.pass(2 * MINUTE);
      await askPhone(service, "ann");
    }
    service.pass(2 * MINUTE - 1);
    expect(await limited()).toEqual({ reason: "RATE_LIMITED", retryAfterMs: 1 });
    service.pass(1);

    const first = await askPhone(service, "ann");
    const deny = async () => {
      const [waiting] = await phone.pending();
      if (waiting) await phone.deny(waiting);
    };
    await deny();
    service.pass(2 * MINUTE);
    await askPhone(service, "ann");
    await deny();
    service.pass(14 * MINUTE);
    expect(await limited()).toEqual({ reason: "RATE_LIMITED", retryAfterMs: MINUTE });
    service.pass(MINUTE);
    expect((await askPhone(service, "ann")).challengeId).not.toBe(first.challengeId);
  });

  /** A user who has denied twice, in a service with a backend and a second phone. */
  const deniedTwice = async () => {
    const { service } = await startPush(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    const phones = [
      await pairPhone(service, "ann", { acr: "aal2" }),
      await pairPhone(service, "ann", { acr: "aal2", session: "tablet" }),
    ] as const;
    const [phone, tablet] = phones;
    for (let n = 0; n < 2; n++) {
      await askPhone(service, "ann", { deviceId: phone.id() });
      const [waiting] = await phone.pending();
      if (waiting) await phone.deny(waiting, "NOT_ME");
      service.pass(1_000);
    }
    return { service, phone, tablet };
  };

  test("after two denials no way of asking reaches any phone, from whatever session or backend", async () => {
    const { service, phone, tablet } = await deniedTwice();
    const [token, backend] = [await inSession(service, "ann", "other"), await backendOf(service)];
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const prepareFactorType = FactorType.PUSH;
    const open = await service.mfa.createChallenge({ terms }, token);
    const challengeId = open.challenge?.challengeId ?? "";
    const ofBackend = await createFor(service, "ann", backend);
    const ways = [
      () => askPhone(service, "ann", {}, "other"),
      () => askPhone(service, "ann", { deviceId: tablet.id() }, "third"),
      () => service.mfa.createPushChallenge({ challengeId }, token),
      () => service.mfa.createChallenge({ terms, prepareFactorType }, token),
      () => service.mfa.resendChallenge({ challengeId, factorType: FactorType.PUSH }, token),
      () => service.internal.createUserChallenge({ ...logIn("ann"), prepareFactorType }, backend),
      () =>
        service.internal.resendUserChallenge(
          { userId: "ann", challengeId: ofBackend, factorType: FactorType.PUSH, client: {} },
          backend,
        ),
    ];
    const tried = async () => {
      for (const ask of ways) expect((await failure(ask())).reason).toBe("RATE_LIMITED");
    };
    await tried();
    // Nor does another phone, or the end of this one.
    await service.mfa.revokePushDevice({ deviceId: phone.id() }, await service.user("ann", "aal2"));
    const third = await pairPhone(service, "ann", { acr: "aal2", session: "third phone" });
    expect((await failure(askPhone(service, "ann"))).reason).toBe("RATE_LIMITED");
    for (const one of [tablet, third]) expect(await one.pending()).toEqual([]);
  });

  test("a backend's next request takes the place of its own whose asker is gone, and of nobody else's", async () => {
    const { service, phone } = await paired();
    const [shop, bank] = [await backendOf(service), await backendOf(service, "bank")];
    const ask = async (backend: string) => {
      const creating = { ...logIn("ann"), prepareFactorType: FactorType.PUSH };
      const { challenge, preparation } = await service.internal.createUserChallenge(creating, backend);
      const { kind } = preparation ?? {};
      return { id: challenge?.challengeId ?? "", number: kind?.case === "push" ? kind.value.number : "" };
    };
    const gone = await ask(shop);
    const [first] = await phone.pending();
    const next = await ask(shop);
    const waiting = await phone.pending();
    expect(waiting.map(({ pushChallengeId }) => pushChallengeId)).toEqual([next.id]);
    expect((await failure(ask(bank))).reason).toBe("RATE_LIMITED");
    expect((await failure(askPhone(service, "ann"))).reason).toBe("RATE_LIMITED");
    if (!first || !waiting[0]) throw new Error("nothing waits");
    expect(await reasonOf(phone.approve(first, gone.number))).toBe("CHALLENGE_EXPIRED");
    expect(await reasonOf(phone.approve(waiting[0], next.number))).toBe("OK");
    for (let n = 0; n < 3; n++) await ask(shop);
    expect((await failure(ask(shop))).reason).toBe("RATE_LIMITED");
  });

  test("a backend reads what it asked a phone itself, and nothing that another backend asked", async () => {
    const { service, phone } = await paired();
    const [shop, bank] = [await backendOf(service), await backendOf(service, "bank")];
    await service.internal.createUserChallenge({ ...logIn("ann"), prepareFactorType: FactorType.PUSH }, shop);
    const [waiting] = await phone.pending();
    const request = { userId: "ann", pushChallengeId: waiting?.pushChallengeId ?? "" };
    const { challenge } = await service.internal.getUserPushChallenge(request, shop);
    expect(challenge?.state).toBe(PushChallengeState.PENDING);
    expect((await failure(service.internal.getUserPushChallenge(request, bank))).reason).toBe("NOT_FOUND");
  });

  test("who asks again before an answer is denied all the same, and it counts", async () => {
    const { service, phone } = await paired();
    const token = await inSession(service, "ann", "web");
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const asking = { terms, prepareFactorType: FactorType.PUSH };
    for (let n = 0; n < 2; n++) {
      const { challenge } = await service.mfa.createChallenge(asking, token);
      const challengeId = challenge?.challengeId ?? "";
      const [seen] = await phone.pending();
      await service.mfa.resendChallenge({ challengeId }, token);
      if (seen) await phone.deny(seen, "NOT_ME");
      expect((await service.mfa.getChallenge({ challengeId }, token)).challenge?.state).toBe(ChallengeState.DENIED);
      expect(await phone.pending()).toEqual([]);
      if (seen) expect(await reasonOf(phone.deny(seen, "NOT_ME"))).toBe("WRONG_STATE");
      service.pass(1_000);
    }
    service.pass(11 * MINUTE);
    expect((await failure(askPhone(service, "ann"))).reason).toBe("RATE_LIMITED");
  });

  test("what its page took back is denied no more", async () => {
    const { service, phone, page, waiting } = await asked();
    await service.mfa.cancelChallenge({ challengeId: page.challengeId }, page.token);
    expect(await reasonOf(phone.deny(waiting, "NOT_ME"))).toBe("CHALLENGE_EXPIRED");
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.CANCELLED);
  });

  test("that it was not them counts within an hour of a request, whatever became of it, once", async () => {
    const { service, phone, page, waiting } = await asked();
    await switchPushOn(service, { lockWhenReported: true });
    const reports = async () => (await eventsOf(service.store)).filter((event) => event.startsWith("PUSH_REPORTED"));
    const codesLocked = async () => (await service.mfa.getMfaStatus({}, page.token)).status?.lock?.codesLocked;
    service.pass(20 * MINUTE);
    expect(await reasonOf(phone.deny({ ...waiting, nonce: Buffer.alloc(32) }, "NOT_ME"))).toBe("SIGNATURE_REJECTED");
    expect(await reasonOf(phone.deny(waiting, "MISTAKE"))).toBe("CHALLENGE_EXPIRED");
    expect([await reports(), await codesLocked()]).toEqual([[], false]);
    const denials = Array.from({ length: 10 }, () => reasonOf(phone.deny(waiting, "NOT_ME")));
    expect(new Set(await Promise.all(denials))).toEqual(new Set(["CHALLENGE_EXPIRED"]));
    expect([(await reports()).length, await codesLocked()]).toEqual([1, true]);
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.EXPIRED);

    service.pass(61 * MINUTE);
    await askPhone(service, "ann");
    const [second] = await phone.pending();
    if (!second) throw new Error("nothing waits");
    service.pass(61 * MINUTE);
    expect(await reasonOf(phone.deny(second, "NOT_ME"))).toBe("CHALLENGE_EXPIRED");
    expect((await reports()).length).toBe(1);
  });

  test("the user is told of the second denial, once, at their address", async () => {
    const { service } = await deniedTwice();
    const told = async () =>
      (await inboxOf(service, "ann")).filter(({ subject }) => subject.includes("denied twice")).length;
    await vi.waitUntil(async () => (await told()) > 0, { timeout: 20_000 });
    expect(await told()).toBe(1);
  });

  test("one denial, and two that lie far apart, neither pause nor tell anything", async () => {
    const { service, phone } = await paired();
    for (let n = 0; n < 3; n++) {
      await askPhone(service, "ann");
      const [waiting] = await phone.pending();
      if (waiting) await phone.deny(waiting);
      service.pass(16 * MINUTE);
    }
    const kinds = (await everyRow(service.store)).outbox_messages?.join() ?? "";
    expect(kinds).not.toContain("push_denied_twice");
  });

  test("a report lengthens a shorter lock, and shortens none that lasts longer", async () => {
    const { service, phone, waiting } = await asked();
    await switchPushOn(service, { lockWhenReported: true });
    const app = await enrollApp(service, "ann", "aal2");
    const type = async () =>
      failure(service.mfa.verifyTotpCode({ code: await wrongCode(app) }, await service.user("ann")));
    for (let n = 0; n < 5; n++) await type();
    expect((await type()).retryAfterMs).toBe(MINUTE);
    await reasonOf(phone.deny(waiting, "NOT_ME"));
    expect((await type()).retryAfterMs).toBe(60 * MINUTE);

    service.pass(61 * MINUTE);
    await service.mfa.verifyTotpCode({ code: await app.code() }, await service.user("ann"));
    await askPhone(service, "ann");
    const [again] = await phone.pending();
    if (!again) throw new Error("nothing waits");
    for (let n = 0; n < 5; n++) await type();
    const aDay = engine.name === "sqlite" ? "86400000" : "interval '1 day'";
    const longer = `lock_expire_time = lock_expire_time + ${aDay}, bound_mac = NULL`;
    await service.execute(`UPDATE attempts SET ${longer} WHERE user_id = 'ann'`);
    await service.bind();
    await reasonOf(phone.deny(again, "NOT_ME"));
    expect((await type()).retryAfterMs).toBe(24 * 60 * MINUTE + MINUTE);
  });

  test("what a report has ended stays ended, also after its lock was cleared and a code was right", async () => {
    const { service, phone, waiting } = await asked();
    await switchPushOn(service, { lockWhenReported: true });
    const app = await enrollApp(service, "ann", "aal2");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const state = async () =>
      (await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend)).challenge?.state;
    service.pass(1_000);
    await reasonOf(phone.deny(waiting, "NOT_ME"));
    expect(await state()).toBe(ChallengeState.LOCKED);
    const root = await adminOf(service, "mfa.lockout.write");
    await service.admin.clearLockout({ userId: "ann", reason: "called in" }, root);
    await service.mfa.verifyTotpCode({ code: await app.code() }, await service.user("ann"));
    expect(await state()).toBe(ChallengeState.LOCKED);
  });
});
