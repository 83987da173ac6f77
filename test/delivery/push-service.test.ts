// The whole service with phones that are told by fakes of the providers: over the outbox, to the phone, and back.
import { randomBytes } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { PushChallengeState, PushChannel, PushDeviceState } from "../../gen/mfa/v1/push_pb.js";
import { askPhone, type Phone, pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { fakeApns } from "../support/fakes/apns.ts";
import type { No } from "../support/fakes/arrivals.ts";
import { fakeFcm } from "../support/fakes/fcm.ts";
import { httpPeer } from "../support/fakes/http-peer.ts";
import { fakeWebPush } from "../support/fakes/web-push.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const NOON = new Date("2026-03-01T12:00:00.000Z");

/** What a test needs of a way to phones: its settings, an address there, what came, and what says that it is gone. */
const ways = [
  {
    channel: PushChannel.WEB_PUSH,
    gone: { status: 410 },
    open: async (clock: () => Date, answer: () => No | undefined) => {
      const fake = await fakeWebPush(clock, answer);
      let browser: ReturnType<typeof fake.subscribe> | undefined;
      return {
        settings: fake.settings,
        subscribe: async (service: ServiceUnderTest) => {
          const { publicKey } = await service.mfa.getVapidPublicKey({}, await service.user("ann"));
          browser = fake.subscribe(publicKey);
          const secret = browser.path;
          return { secret, address: { kind: { case: "webPush", value: browser.subscription } } } as const;
        },
        asked: () => fake.asked.arrived.length,
        told: () => fake.taken.arrived.map((posted) => browser?.read(posted)),
      };
    },
  },
  {
    channel: PushChannel.FCM,
    gone: { status: 404, reason: "UNREGISTERED" },
    open: async (clock: () => Date, answer: () => No | undefined) => {
      const fake = await fakeFcm(clock, { send: answer });
      return {
        settings: fake.settings,
        subscribe: async () => {
          const secret = `fcm:${randomBytes(12).toString("hex")}`;
          return { secret, address: { kind: { case: "fcmToken", value: secret } } } as const;
        },
        asked: () => fake.sent.arrived.length,
        told: () => fake.sent.arrived.map(({ data }) => data),
      };
    },
  },
  {
    channel: PushChannel.APNS,
    gone: { status: 410, reason: "Unregistered" },
    open: async (clock: () => Date, answer: () => No | undefined) => {
      const fake = await fakeApns(clock, answer);
      return {
        settings: fake.settings,
        subscribe: async () => {
          const secret = randomBytes(32).toString("hex");
          return { secret, address: { kind: { case: "apnsToken", value: secret } } } as const;
        },
        asked: () => fake.sent.arrived.length,
        told: () =>
          fake.sent.arrived.map(({ payload }) => {
            const { aps: _, ...said } = payload as Record<string, unknown>;
            return said;
          }),
      };
    },
  },
  {
    channel: PushChannel.WEBHOOK,
    gone: { status: 410 },
    open: async (_: () => Date, answer: () => No | undefined) => {
      const peer = await httpPeer(answer);
      const secret = `whsec_${randomBytes(32).toString("base64")}`;
      return {
        settings: { kind: "webhook", url: peer.url, secret } as const,
        subscribe: async () => {
          const target = `tablet-${randomBytes(12).toString("hex")}`;
          return { secret: target, address: { kind: { case: "webhookTarget", value: target } } } as const;
        },
        asked: () => peer.received.length,
        told: () => peer.received.map(({ body }) => ({ push_challenge_id: JSON.parse(body).data.push_challenge_id })),
      };
    },
  },
] as const;

/** Whether a phone was told, by the log: notices to the user are sent besides. */
const isSent = ({ log }: ServiceUnderTest) =>
  log.some((line) => line.includes('"kind":"push_challenge"') && line.includes('"state":"sent"'));

describe.each(engines)("phones that are told by their providers on $name", (engine) => {
  describe.each(ways.map((way) => ({ ...way, name: PushChannel[way.channel] })))("$name", ({ channel, open, gone }) => {
    /** A service that tells phones this way, and a paired one. */
    const start = async () => {
      let answer: No | undefined;
      const now = { of: () => NOON };
      const way = await open(
        () => now.of(),
        () => answer,
      );
      const service = await serviceForTest(engine, { delivery: { push: [way.settings] } });
      now.of = () => service.clock.now;
      await switchPushOn(service);
      const { secret, address } = await way.subscribe(service);
      const phone = await pairPhone(service, "ann", { address });
      const device = async () => {
        const { devices } = await service.mfa.listPushDevices({}, await service.user("ann", "aal2"));
        return devices[0];
      };
      const answering = (no: No | undefined) => {
        answer = no;
      };
      return { way, service, phone, secret, device, answering };
    };
    const until = (condition: () => unknown) => vi.waitUntil(condition, { timeout: 20_000 });
    const approve = async (phone: Phone, page: Awaited<ReturnType<typeof askPhone>>) => {
      const [waiting] = await phone.pending();
      if (waiting) await phone.approve(waiting, page.number);
    };

    test("a request is told by its id alone, and the phone answers", async () => {
      const { way, service, phone, secret, device } = await start();
      expect((await device())?.channel).toBe(channel);
      const page = await askPhone(service, "ann");
      await until(() => way.told().length === 1);
      expect(way.told()).toEqual([{ push_challenge_id: page.pushChallengeId }]);
      await approve(phone, page);
      const { challenge } = await service.mfa.getPushChallenge({ pushChallengeId: page.pushChallengeId }, page.token);
      expect(challenge?.state).toBe(PushChallengeState.APPROVED);
      await until(() => isSent(service));
      expect(service.log.join("\n")).not.toContain(secret);
    });

    test("an address that is gone is taken out of use; the phone stays, polls, and is told at its next address", async () => {
      const { way, service, phone, secret, device, answering } = await start();
      answering(gone);
      const page = await askPhone(service, "ann");
      await until(async () => (await device())?.channelGone);
      expect(await device()).toMatchObject({ state: PushDeviceState.ACTIVE, channel });
      expect(service.log.join("\n")).not.toContain(secret);
      await approve(phone, page);
      const { challenge } = await service.mfa.getPushChallenge({ pushChallengeId: page.pushChallengeId }, page.token);
      expect(challenge?.state).toBe(PushChallengeState.APPROVED);

      answering(undefined);
      service.pass(3 * MINUTE);
      const asked = way.asked();
      const second = await askPhone(service, "ann");
      await approve(phone, second);
      expect(way.asked()).toBe(asked);

      service.pass(3 * MINUTE);
      const told = way.told().length;
      await phone.rotate((await way.subscribe(service)).address);
      expect((await device())?.channelGone).toBe(false);
      const third = await askPhone(service, "ann");
      await until(() => way.told().length > told);
      expect(way.told().at(-1)).toEqual({ push_challenge_id: third.pushChallengeId });
    });

    test("one that cannot be told at present keeps its address and is told when it can", async () => {
      const { way, service, device, answering } = await start();
      answering({ status: 503 });
      const page = await askPhone(service, "ann");
      await until(() => service.log.some((line) => line.includes('_503"')));
      answering(undefined);
      service.pass(2_000);
      await until(() => isSent(service));
      expect(way.told().at(-1)).toEqual({ push_challenge_id: page.pushChallengeId });
      expect(await device()).toMatchObject({ channelGone: false, channel });
    });
  });

  test("an address that turns out to be gone does not take a newer one along", async () => {
    let rotate = async () => {};
    const now = { of: () => NOON };
    const fake = await fakeWebPush(
      () => now.of(),
      async ({ path }) => {
        if (path !== first.path) return undefined;
        await rotate();
        return { status: 410 };
      },
    );
    const service = await serviceForTest(engine, { delivery: { push: [fake.settings] } });
    now.of = () => service.clock.now;
    await switchPushOn(service);
    const { publicKey } = await service.mfa.getVapidPublicKey({}, await service.user("ann"));
    const [first, second] = [fake.subscribe(publicKey), fake.subscribe(publicKey)];
    const phone = await pairPhone(service, "ann", {
      address: { kind: { case: "webPush", value: first.subscription } },
    });
    rotate = async () => {
      await phone.rotate({ kind: { case: "webPush", value: second.subscription } });
    };
    await askPhone(service, "ann");
    await vi.waitUntil(() => service.log.some((line) => line.includes("WEB_PUSH_410")), { timeout: 20_000 });
    service.pass(3 * MINUTE);
    const page = await askPhone(service, "ann");
    expect(second.read(await fake.taken.nth(1))).toEqual({ push_challenge_id: page.pushChallengeId });
  });

  test("what our own mistake brings for every phone costs none of them its address", async () => {
    const apns = await fakeApns(
      () => service.clock.now,
      () => ({ status: 400, reason: "DeviceTokenNotForTopic" }),
    );
    const service: ServiceUnderTest = await serviceForTest(engine, { delivery: { push: [apns.settings] } });
    await switchPushOn(service);
    const address = { kind: { case: "apnsToken" as const, value: "ab".repeat(32) } };
    await pairPhone(service, "ann", { address });
    await askPhone(service, "ann");
    await vi.waitUntil(() => service.log.some((line) => line.includes("APNS_DEVICE_TOKEN_NOT_FOR_TOPIC")), {
      timeout: 20_000,
    });
    const { devices } = await service.mfa.listPushDevices({}, await service.user("ann", "aal2"));
    expect(devices[0]).toMatchObject({ channel: PushChannel.APNS, channelGone: false });
  });
});
