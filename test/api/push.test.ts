import { createHash } from "node:crypto";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { PushChallengeState, PushDenyReason, PushDeviceState } from "../../gen/mfa/v1/push_pb.js";
import { enrolApp } from "../support/authenticator.ts";
import { backendOf, inSession, logIn, redeem, totp } from "../support/challenges.ts";
import { failure, streamer } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { askPhone, newPhone, pairPhone, switchPushOn, wrongNumber } from "../support/push.ts";
import { everyRow } from "../support/rows.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/service.ts";

const MINUTE = 60_000;
/** Signatures that are good once, and what workers do meanwhile. */
const ASIDE = ["request_ids", "outbox_messages", "events", "event_streams"];
const transfer = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };

/** What an example's phone failed with. */
const reasonOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "OK",
    (error: { reason?: string }) => error.reason || String(error),
  );

/** The state that a page reads. */
const stateOf = async (service: ServiceUnderTest, challengeId: string, token: string) =>
  (await service.mfa.getPushChallenge({ challengeId }, token)).challenge?.state;

describe.each(engines)("approval on a phone on $name", (engine) => {
  const start = async () => {
    const service = await serviceForTest(engine);
    const admin = await switchPushOn(service);
    return { service, admin };
  };
  const paired = async () => {
    const { service, admin } = await start();
    return { service, admin, phone: await pairPhone(service, "ann") };
  };
  /** What waits for a phone, and the page that waits for it. */
  const asked = async (fields: object = {}) => {
    const { service, phone, admin } = await paired();
    const page = await askPhone(service, "ann", fields);
    const [waiting] = await phone.pending();
    if (!waiting) throw new Error("nothing waits");
    return { service, phone, admin, page, waiting };
  };

  test.each(["ES256", "ED25519"] as const)(
    "pairs a phone with an %s key, asks it, and takes its answer",
    async (algorithm) => {
      const { service } = await start();
      const token = await inSession(service, "ann", "home");
      const started = await service.mfa.startPushDeviceEnrollment({}, token); // POST /mfa/push/devices
      expect(started.device?.state).toBe(PushDeviceState.PENDING);
      expect(started.pairingUri).toContain(started.pairingToken);
      expect(started.qrSvg).toContain("<svg");
      const phone = newPhone(service, algorithm);
      const { device, accountName } = await phone.pair(started.pairingToken);
      expect(accountName).toBe("ann");
      expect(device).toMatchObject({ state: PushDeviceState.ACTIVE, displayName: "Simulated phone" });

      const page = await askPhone(service, "ann"); // POST /mfa/push/challenge
      expect(page.number).toMatch(/^\d{2}$/);
      const [waiting] = await phone.pending(); // GET /mfa/push/pending
      expect(waiting).toMatchObject({ challengeId: page.challengeId, numberLength: 2 });
      expect(waiting?.context).toMatchObject({ ip: "127.0.0.1", application: "MFA Service", renderedAction: "" });
      if (waiting) await phone.approve(waiting, page.number); // POST /mfa/push/approve
      expect(await stateOf(service, page.challengeId, page.token)).toBe(PushChallengeState.APPROVED);
      expect(await phone.pending()).toEqual([]);
    },
  );

  test("the number is in the one reply that creates, and nowhere else: not in rows, logs, lists or what phones get", async () => {
    const { service, phone, admin } = await paired();
    await switchPushOn(service, { numberDigits: 6 });
    service.pass(2_000);
    const page = await askPhone(service, "ann");
    expect(page.number).toMatch(/^\d{6}$/);
    const backend = await backendOf(service);
    const seen = [
      await phone.pending(),
      await service.mfa.getPushChallenge({ challengeId: page.challengeId }, page.token),
      await service.mfa.listPushChallenges({}, await service.user("ann", "aal2")),
      await service.admin.listUserPushChallenges({}, admin),
      await service.internal.getUserPushChallenge({ userId: "ann", challengeId: page.challengeId }, backend),
      await everyRow(service.store),
      service.log,
    ];
    const text = JSON.stringify(seen, (_, value) => (typeof value === "bigint" ? String(value) : value));
    expect(text).not.toContain(page.number);
    expect(text).toContain(page.challengeId);
  });

  test("a page that watches the challenge sees the approval, and that it was taken back", async () => {
    const { service, phone } = await paired();
    const page = await askPhone(service, "ann");
    const stream = streamer(service.port)(
      MfaService.method.watchChallenge,
      { challengeId: page.challengeId },
      page.token,
    );
    expect((await stream.next())?.challenge?.state).toBe(ChallengeState.PENDING);
    const [waiting] = await phone.pending();
    if (waiting) await phone.approve(waiting, page.number);
    const proven = (await stream.next())?.challenge;
    expect(proven).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.PUSH });
    await service.mfa.cancelChallenge({ challengeId: page.challengeId }, page.token);
    expect((await stream.next())?.challenge?.state).toBe(ChallengeState.CANCELLED);
    expect(await stateOf(service, page.challengeId, page.token)).toBe(PushChallengeState.CANCELLED);
  });

  test("a backend's challenge is proven by the phone that was asked for it", async () => {
    const { service, phone } = await paired();
    const backend = await backendOf(service);
    const client = {
      ip: "203.0.113.7",
      application: "Shop",
      userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    };
    const { challenge, preparation } = await service.internal.createUserChallenge(
      { ...logIn("ann"), client, prepareFactorType: FactorType.PUSH },
      backend,
    );
    const prompt = preparation?.kind.case === "push" ? preparation.kind.value : undefined;
    expect(prompt?.deviceNames).toEqual(["Simulated phone"]);
    const [waiting] = await phone.pending();
    expect(waiting?.context).toMatchObject({ ip: "203.0.113.7", application: "Shop", userAgent: "Firefox on Linux" });
    if (waiting) await phone.approve(waiting, prompt?.number ?? "");
    const challengeId = challenge?.challengeId ?? "";
    const { challenge: proven } = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(proven).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.PUSH });
  });

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

  test("what is approved is shown as the service renders it and signed by its digest", async () => {
    const { service, phone, page, waiting } = await asked({ action: transfer });
    expect(waiting.context?.renderedAction).toBe("transfer.create\namount: 100 EUR\nto: Bob");
    const canonical = '{"parameters":{"amount":"100 EUR","to":"Bob"},"type":"transfer.create"}';
    expect(Buffer.from(waiting.actionDigest)).toEqual(createHash("sha256").update(canonical).digest());
    const other = createHash("sha256").update(canonical.replace("Bob", "Eve")).digest();
    const altered = { ...waiting, actionDigest: other };
    expect(await reasonOf(phone.approve(altered, page.number))).toBe("SIGNATURE_REJECTED");
    expect(await stateOf(service, page.challengeId, page.token)).toBe(PushChallengeState.PENDING);
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("OK");
  });

  test("an approval of one action answers no challenge of another", async () => {
    const { service, phone, page, waiting } = await asked({ action: transfer });
    await phone.approve(waiting, page.number);
    const open = async (action?: object) => {
      const terms = { purpose: 2, audience: "shop", ...(action && { action }) };
      const { challenge } = await service.mfa.createChallenge({ terms }, page.token);
      const proof = { kind: { case: "push" as const, value: page.challengeId } };
      return service.mfa.verifyChallenge({ challengeId: challenge?.challengeId ?? "", proof }, page.token);
    };
    const other = { ...transfer, parameters: { ...transfer.parameters, to: "Eve" } };
    for (const action of [undefined, other]) expect((await failure(open(action))).reason).toBe("SIGNATURE_REJECTED");
    expect((await open(transfer)).challenge?.state).toBe(ChallengeState.PROVEN);
  });

  test("three wrong numbers end a request, and count towards the lock of all codes", async () => {
    const { service, phone, page, waiting } = await asked();
    const wrong = wrongNumber(page.number);
    for (let n = 0; n < 3; n++) expect(await reasonOf(phone.approve(waiting, wrong))).toBe("CODE_REJECTED");
    expect(await stateOf(service, page.challengeId, page.token)).toBe(PushChallengeState.FAILED);
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
    expect(await stateOf(service, second.challengeId, second.token)).toBe(PushChallengeState.CANCELLED);
  });

  test.each(["NOT_ME", "MISTAKE", "OTHER"] as const)("a denial as %s needs no number and is final", async (reason) => {
    const { service, phone, page, waiting, admin } = await asked();
    await phone.deny(waiting, reason); // POST /mfa/push/deny
    const { challenge } = await service.mfa.getPushChallenge({ challengeId: page.challengeId }, page.token);
    expect(challenge).toMatchObject({ state: PushChallengeState.DENIED, denyReason: PushDenyReason[reason] });
    expect(challenge?.decidedDeviceId).toBe(phone.id());
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("WRONG_STATE");
    expect(await reasonOf(phone.deny(waiting, reason))).toBe("WRONG_STATE");
    const generic = await service.mfa.getChallenge({ challengeId: page.challengeId }, page.token);
    expect(generic.challenge?.state).toBe(ChallengeState.DENIED);
    const { challenges } = await service.admin.listUserPushChallenges({ userId: "ann" }, admin);
    expect(challenges[0]?.challenge?.denyReason).toBe(PushDenyReason[reason]);
  });

  test("a denial stops what another factor has proved meanwhile", async () => {
    const { service, phone } = await paired();
    const app = await enrolApp(service, "ann", "aal2");
    const backend = await backendOf(service);
    const creating = { ...logIn("ann"), prepareFactorType: FactorType.PUSH };
    const { challenge } = await service.internal.createUserChallenge(creating, backend);
    const challengeId = challenge?.challengeId ?? "";
    const [waiting] = await phone.pending();
    const proof = totp(await app.code());
    await service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client: {} }, backend);
    expect(await phone.pending()).toEqual([]);
    if (waiting) await phone.deny(waiting, "NOT_ME");
    const denied = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(denied.challenge?.state).toBe(ChallengeState.DENIED);
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

  test("a request of the challenge that is asked again for replaces the older one", async () => {
    const { service, phone, page, waiting } = await asked();
    service.pass(1_000);
    const again = await service.mfa.createPushChallenge({ challengeId: page.challengeId }, page.token);
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("CHALLENGE_EXPIRED");
    const [second] = await phone.pending();
    expect(second?.challengeId).toBe(again.challenge?.challengeId);
    expect(second?.challengeId).not.toBe(page.challengeId);
    if (second) await phone.approve(second, again.number);
    const generic = await service.mfa.getChallenge({ challengeId: page.challengeId }, page.token);
    expect(generic.challenge?.state).toBe(ChallengeState.PROVEN);
  });

  test("the session that paired a phone is never approved by it, and no user's token approves at all", async () => {
    const { service } = await start();
    const phone = await pairPhone(service, "ann", { session: "one" });
    expect((await failure(askPhone(service, "ann", {}, "one"))).reason).toBe("FACTOR_NOT_ALLOWED");
    await pairPhone(service, "ann", { session: "two", acr: "aal2" });
    const page = await askPhone(service, "ann", {}, "one");
    expect(await phone.pending()).toEqual([]);
    const nonce = Buffer.alloc(16);
    const guessed = { challengeId: page.challengeId, nonce, actionDigest: Buffer.alloc(0) };
    expect(await reasonOf(phone.approve(guessed, page.number))).toBe("SELF_ACTION");
    const signature = Buffer.alloc(64);
    const asUser = { challengeId: page.challengeId, number: page.number, signature };
    expect((await failure(service.mfa.approvePushChallenge(asUser, page.token))).reason).toBe("ACCESS_DENIED");
    expect(await stateOf(service, page.challengeId, page.token)).toBe(PushChallengeState.PENDING);
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
    const challengeId = page.challengeId;
    for (const token of [await inSession(service, "ann", "other"), await inSession(service, "bob", "web")]) {
      expect((await failure(service.mfa.getPushChallenge({ challengeId }, token))).reason).toBe("NOT_FOUND");
    }
    const shop = await backendOf(service, "shop", "acme");
    const foreign = service.internal.getUserPushChallenge({ userId: "ann", challengeId }, shop);
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
    const challengeId = page.challengeId;
    const right = phone.answer(waiting, page.number, "approve");
    const altered = Buffer.from(right);
    altered[20] = (altered[20] ?? 0) ^ 1;
    const other = newPhone(service);
    const nonces = { ...waiting, nonce: Buffer.alloc(16) };
    const elsewhere = { ...waiting, challengeId: "A".repeat(22) };
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
      const call = phone.ask(approvePushChallenge, { challengeId, number: page.number, signature });
      expect(await reasonOf(call)).toBe("SIGNATURE_REJECTED");
    }
    for (const signature of [right, phone.answer(waiting, "", "deny", "NOT_ME"), Buffer.alloc(64)]) {
      const call = phone.ask(denyPushChallenge, { challengeId, denyReason: PushDenyReason.OTHER, signature });
      expect(await reasonOf(call)).toBe("SIGNATURE_REJECTED");
    }
    for (const fields of [
      { challengeId, number: "", signature: right },
      { challengeId, number: page.number, signature: Buffer.alloc(0) },
      { challengeId, number: `0${page.number}`, signature: right },
    ]) {
      expect(await reasonOf(phone.ask(approvePushChallenge, fields))).toBe("INVALID_FIELD");
    }
    expect(await everyRow(service.store, ASIDE)).toEqual(before);
  });

  test("an approval is good once, for its challenge", async () => {
    const { service, phone, page, waiting } = await asked();
    const { approvePushChallenge } = MfaService.method;
    const signature = phone.answer(waiting, page.number, "approve");
    const approval = { challengeId: page.challengeId, number: page.number, signature };
    await phone.ask(approvePushChallenge, approval);
    expect(await reasonOf(phone.ask(approvePushChallenge, approval))).toBe("WRONG_STATE");
    service.pass(3 * MINUTE);
    const second = await askPhone(service, "ann");
    const moved = { ...approval, challengeId: second.challengeId };
    expect(await reasonOf(phone.ask(approvePushChallenge, moved))).toBe("SIGNATURE_REJECTED");
    expect(await stateOf(service, second.challengeId, second.token)).toBe(PushChallengeState.PENDING);
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
    ["another factor was enrolled", async ({ service }) => enrolApp(service, "ann", "aal2"), /CHALLENGE_EXPIRED/],
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

  test("history and statistics tell outcomes, reasons and how long people took", async () => {
    const { service, phone, admin } = await paired();
    const answer = async (how: "approve" | "deny" | "ignore", seconds: number) => {
      const page = await askPhone(service, "ann");
      const [waiting] = await phone.pending();
      service.pass(seconds * 1000);
      if (waiting && how === "approve") await phone.approve(waiting, page.number);
      if (waiting && how === "deny") await phone.deny(waiting, "NOT_ME");
      service.pass(3 * MINUTE);
      return page.challengeId;
    };
    const ids = [
      await answer("approve", 5),
      await answer("deny", 10),
      await answer("approve", 20),
      await answer("ignore", 0),
    ];
    const user = await service.user("ann", "aal2");
    const first = await service.mfa.listPushChallenges({ pageSize: 3 }, user); // GET /mfa/push/history
    const rest = await service.mfa.listPushChallenges({ pageSize: 3, pageToken: first.nextPageToken }, user);
    expect([...first.challenges, ...rest.challenges].map(({ challengeId }) => challengeId)).toEqual(ids.toReversed());
    const denied = await service.mfa.listPushChallenges({ state: PushChallengeState.DENIED }, user);
    expect(denied.challenges.map(({ challengeId }) => challengeId)).toEqual([ids[1]]);
    const expired = await service.mfa.listPushChallenges({ state: PushChallengeState.EXPIRED }, user);
    // Approvals that nobody redeemed have run out too.
    expect(expired.challenges.map(({ challengeId }) => challengeId)).toEqual([ids[3], ids[2], ids[0]]);

    const stats = await service.admin.getPushStats({}, admin); // GET /admin/mfa/push/stats
    expect(stats).toMatchObject({ total: 4n, approved: 2n, denied: 1n, expired: 1n, pending: 0n, failed: 0n });
    expect(stats.denyReasons).toMatchObject([{ denyReason: PushDenyReason.NOT_ME, count: 1n }]);
    expect(stats.medianAnswerTime?.seconds).toBe(10n);
    expect(stats.endTime && timestampDate(stats.endTime)).toEqual(service.clock.now);
    const ofTenant = await service.admin.listUserPushChallenges({ userId: "ann", pageSize: 2 }, admin);
    expect(ofTenant.challenges.map(({ userId }) => userId)).toEqual(["ann", "ann"]);
    expect(ofTenant.nextPageToken).not.toBe("");
    const acme = await service.mint({
      audience: "mfa-admin",
      subject: "r",
      acr: "aal2",
      scope: "mfa.read",
      tenant: "acme",
    });
    expect((await service.admin.listUserPushChallenges({}, acme)).challenges).toEqual([]);
    expect((await service.admin.getPushStats({}, acme)).total).toBe(0n);
    const long = { startTime: { seconds: 1n } };
    expect((await failure(service.admin.getPushStats(long, admin))).reason).toBe("INVALID_FIELD");
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
