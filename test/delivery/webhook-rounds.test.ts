import { describe, expect, test } from "vitest";
import { newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { eventRepository } from "../../src/events/events.repository.ts";
import { placeEvents } from "../../src/events/placing.ts";
import type { DeliveryRequest } from "../../src/webhooks/delivery-request.ts";
import { createRounds } from "../../src/webhooks/rounds.ts";
import { webhookEndpointRepository } from "../../src/webhooks/webhook-endpoints.repository.ts";
import { secretCell } from "../../src/webhooks/webhooks.ts";
import { type EngineUnderTest, engines, openForTest } from "../support/engines.ts";

const key = { tenantId: "dev", endpointId: "endpoint" };

async function endpointOf(engine: EngineUnderTest, count: number) {
  const { store } = await openForTest(engine);
  const clock = { now: new Date("2026-03-01T12:00:00.000Z") };
  const keyring = await openKeyring(parseKeys(newKeys()), store);
  const sealedSecret = await keyring.seal(Buffer.alloc(32, 7), secretCell(key));
  await store.write(async (tx) => {
    await webhookEndpointRepository(tx).insert({
      ...{ ...key, url: "https://example.com/", description: "", types: [], position: 0, sealedSecret },
      ...{ sealedOldSecret: null, oldSecretExpireTime: null, paused: false, version: 1, replays: 0, failures: 0 },
      ...{ lastError: "", leaseId: null, lastSuccessTime: null },
      ...{ nextAttemptTime: clock.now, createTime: clock.now, updateTime: clock.now },
    });
    for (let n = 0; n < count; n += 1) {
      await eventRepository(tx).insert({
        ...{ tenantId: "dev", userId: `user-${n % 7}`, type: "PROOF_FAILED", position: null, factorType: "TOTP" },
        ...{ factorId: "", rpc: "", ip: "", userAgent: "", application: "", actorType: "USER", actorId: "" },
        challengeDigest: "",
        eventId: `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`,
        failureReason: "WRONG",
        createTime: clock.now,
        mfaEpoch: 0,
      });
    }
  });
  await placeEvents(store, "dev");
  const posted: string[] = [];
  /** An instance that delivers; `post` answers once the test lets it. */
  const instance = (post: (delivery: DeliveryRequest) => Promise<string | undefined> = async () => undefined) =>
    createRounds({
      ...{ store, keyring, clock: () => clock.now, onFailed: () => {} },
      post: async (_url, delivery) => {
        posted.push(delivery.headers["webhook-id"] ?? "");
        return post(delivery);
      },
    });
  const find = () => store.read((tx) => webhookEndpointRepository(tx).find(key));
  return { store, clock, posted, instance, find };
}

describe.each(engines)("rounds of webhooks on $name", (engine) => {
  test("deliver each event once, however many instances there are", async () => {
    const { posted, instance, find } = await endpointOf(engine, 300);
    await Promise.all(Array.from({ length: 6 }, () => instance().deliver()));
    // An instance that came too late for a round does not wait for it.
    await instance().deliver();
    expect(posted).toHaveLength(300);
    expect(new Set(posted).size).toBe(300);
    expect(await find()).toMatchObject({ position: 300, failures: 0, leaseId: null });
  });

  test("are taken over a minute after their instance died, and it settles nothing any more", async () => {
    const { clock, posted, instance, find } = await endpointOf(engine, 1);
    const answer = Promise.withResolvers<string | undefined>();
    const asked = Promise.withResolvers<void>();
    const dead = instance(() => {
      asked.resolve();
      return answer.promise;
    }).deliver();
    await asked.promise;
    await instance().deliver();
    expect(posted).toHaveLength(1);
    clock.now = new Date(clock.now.getTime() + 60_000);
    await instance().deliver();
    expect(posted).toHaveLength(2);
    expect(await find()).toMatchObject({ position: 1, failures: 0 });
    answer.resolve("HTTP_500");
    await dead;
    expect(await find()).toMatchObject({ position: 1, failures: 0, lastError: "" });
  });

  test("do not undo a replay that came while they were under way", async () => {
    const { store, clock, posted, instance, find } = await endpointOf(engine, 3);
    await instance().deliver();
    const answer = Promise.withResolvers<void>();
    const replay = (replays: number) =>
      store.write((tx) => webhookEndpointRepository(tx).putBack(key, 0, replays, clock.now));
    await replay(1);
    const asked = Promise.withResolvers<void>();
    const slow = instance(async () => {
      asked.resolve();
      await answer.promise;
      return undefined;
    });
    const delivering = slow.deliver();
    await asked.promise;
    await replay(2);
    answer.resolve();
    await delivering;
    await instance().deliver();
    expect(await find()).toMatchObject({ position: 3 });
    expect(posted).toHaveLength(9);
  });
});
