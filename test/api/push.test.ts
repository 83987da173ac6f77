import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { PushChallengeState, PushDenyReason, PushDeviceState } from "../../gen/mfa/v1/push_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf, inSession, logIn, totp } from "../support/actors/backend.ts";
import { failure, streamer } from "../support/actors/grpc-client.ts";
import { enrollEmail, inboxOf, switchOn } from "../support/actors/one-time-codes.ts";
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
} from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { locationsFile } from "../support/fakes/locations.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const transfer = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };

describe.each(engines)("approval on a phone on $name", (engine) => {
  const start = () => startPush(engine);
  const paired = () => pairedPhone(engine);
  const asked = (fields: object = {}) => askedPhone(engine, fields);

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
      expect(waiting).toMatchObject({ pushChallengeId: page.pushChallengeId, numberLength: 2 });
      expect(waiting?.context).toMatchObject({ ip: "127.0.0.1", application: "MFA Service", renderedAction: "" });
      if (waiting) await phone.approve(waiting, page.number); // POST /mfa/push/approve
      expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.APPROVED);
      expect(await phone.pending()).toEqual([]);
    },
  );

  test("the number is in the one reply that creates, and nowhere else: not in rows, logs, lists or what phones get", async () => {
    const { service, admin } = await start();
    await switchOn(service);
    await enrollEmail(service, "ann");
    const phone = await pairPhone(service, "ann", { acr: "aal2" });
    await switchPushOn(service, { numberDigits: 6 });
    service.pass(2_000);
    const token = await inSession(service, "ann", "web");
    const requestId = randomUUID();
    const { challenge, number } = await service.mfa.createPushChallenge({ requestId }, token);
    const { challengeId = "", pushChallengeId = "" } = challenge ?? {};
    const page = { token, number, challengeId, pushChallengeId };
    expect(page.number).toMatch(/^\d{6}$/);
    const backend = await backendOf(service);
    const watch = streamer(service.port)(MfaService.method.watchChallenge, { challengeId: page.challengeId }, token);
    const auditor = await adminOf(service, "mfa.audit.read");
    const eventReader = await service.backend("mfa.events.read");
    const seen = [
      await watch.next(),
      String(await failure(service.mfa.createPushChallenge({ requestId }, token))),
      await service.mfa.getChallenge({ challengeId: page.challengeId }, token),
      await service.internal.listEvents({}, eventReader),
      await service.admin.listConfigAuditLogs({}, auditor),
      await inboxOf(service),
      await service.mfa.listFactors({}, await service.user("ann", "aal2")),
      await phone.pending(),
      await service.mfa.getPushChallenge({ pushChallengeId: page.pushChallengeId }, page.token),
      await service.mfa.listPushChallenges({}, await service.user("ann", "aal2")),
      await service.admin.listUserPushChallenges({}, admin),
      await service.internal.getUserPushChallenge({ userId: "ann", pushChallengeId: page.pushChallengeId }, backend),
      await everyRow(service.store),
      service.log,
    ];
    const readable = (_: string, value: unknown) => {
      if (typeof value === "bigint") return String(value);
      // Bytes as they would be read, should a text stand in them.
      const bytes = value as { type?: unknown; data?: number[] } | null;
      return bytes?.type === "Buffer" ? Buffer.from(bytes.data ?? []).toString("latin1") : value;
    };
    const text = JSON.stringify(seen, readable);
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
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.CANCELLED);
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
    expect(prompt?.pushChallengeId).toMatch(/^[\w-]{22}$/);
    expect(Number(prompt?.expireTime?.seconds) * 1000).toBe(service.clock.now.getTime() + 2 * 60_000);
    const [waiting] = await phone.pending();
    expect(waiting?.context).toMatchObject({ ip: "203.0.113.7", application: "Shop", userAgent: "Firefox on Linux" });
    if (waiting) await phone.approve(waiting, prompt?.number ?? "");
    const challengeId = challenge?.challengeId ?? "";
    const { challenge: proven } = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(proven).toMatchObject({ state: ChallengeState.PROVEN, provenFactorType: FactorType.PUSH });
  });

  test("the phone shows where the address is, as far as the operator's file says", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mfa-locations-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "city.mmdb");
    const names = { city: "Berlin", country: "Germany" };
    await writeFile(path, locationsFile([{ cidr: "203.0.113.0/24", country: "DE", names }]));
    const service = await serviceForTest(engine, { risk: { locationsFile: path } });
    await switchPushOn(service);
    const phone = await pairPhone(service, "ann");
    const backend = await backendOf(service);
    for (const [ip, location] of [
      ["203.0.113.7", "Berlin, Germany"],
      ["198.51.100.7", ""],
    ] as const) {
      const creating = { ...logIn("ann"), client: { ip }, prepareFactorType: FactorType.PUSH };
      await service.internal.createUserChallenge(creating, backend);
      expect((await phone.pending())[0]?.context).toMatchObject({ ip, location });
      service.pass(5 * 60_000);
    }
  });

  test("of who asks the phone shows what the service knows, never what they say of themselves", async () => {
    const { service, phone } = await paired();
    const backend = await backendOf(service);
    for (const [userAgent, shown] of [
      ["Your bank. Call 0900 123456 before you answer", ""],
      ["Shop/7.1 (iPhone; iOS 19.0) Your bank: approve this", "iPhone"],
      ["Mozilla/5.0 Firefox/140.0 (Your bank)", "Firefox"],
    ] as const) {
      const client = { ip: "203.0.113.7", userAgent };
      await service.internal.createUserChallenge(
        { ...logIn("ann"), client, prepareFactorType: FactorType.PUSH },
        backend,
      );
      expect((await phone.pending())[0]?.context?.userAgent).toBe(shown);
      service.pass(5 * 60_000);
    }
  });

  test("what is approved is shown as the service renders it and signed by its digest", async () => {
    const { service, phone, page, waiting } = await asked({ action: transfer });
    expect(waiting.context?.renderedAction).toBe("Transfer 100 EUR to: Bob");
    const canonical = '{"parameters":{"amount":"100 EUR","to":"Bob"},"type":"transfer.create"}';
    expect(Buffer.from(waiting.actionDigest)).toEqual(createHash("sha256").update(canonical).digest());
    const other = createHash("sha256").update(canonical.replace("Bob", "Eve")).digest();
    const altered = { ...waiting, actionDigest: other };
    const before = await everyRow(service.store, ASIDE);
    expect(await reasonOf(phone.approve(altered, page.number))).toBe("SIGNATURE_REJECTED");
    expect(await everyRow(service.store, ASIDE)).toEqual(before);
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.PENDING);
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("OK");
  });

  test.each(["NOT_ME", "MISTAKE", "OTHER"] as const)("a denial as %s needs no number and is final", async (reason) => {
    const { service, phone, page, waiting, admin } = await asked();
    await phone.deny(waiting, reason); // POST /mfa/push/deny
    const { challenge } = await service.mfa.getPushChallenge({ pushChallengeId: page.pushChallengeId }, page.token);
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
    const app = await enrollApp(service, "ann", "aal2");
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

  test("a request of the challenge that is asked again for replaces the older one", async () => {
    const { service, phone, page, waiting } = await asked();
    service.pass(1_000);
    const again = await service.mfa.createPushChallenge({ challengeId: page.challengeId }, page.token);
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("CHALLENGE_EXPIRED");
    const [second] = await phone.pending();
    expect(second?.pushChallengeId).toBe(again.challenge?.pushChallengeId);
    expect(second?.pushChallengeId).not.toBe(page.pushChallengeId);
    expect(again.challenge?.challengeId).toBe(page.challengeId);
    if (second) await phone.approve(second, again.number);
    const generic = await service.mfa.getChallenge({ challengeId: page.challengeId }, page.token);
    expect(generic.challenge?.state).toBe(ChallengeState.PROVEN);
  });
});
