import { setImmediate as nextTurn } from "node:timers/promises";
import { eq } from "drizzle-orm";
import { describe, expect, test } from "vitest";
import { newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { bindingStore } from "../../src/db/bound-rows.ts";
import { type Building, statement } from "../../src/db/store.ts";
import { eventRepository } from "../../src/events/events.repository.ts";
import { events } from "../../src/events/events.table.ts";
import { sequenceEvents } from "../../src/events/sequencer.ts";
import type { DeliveryRequest } from "../../src/webhooks/delivery-request.ts";
import { createDispatcher } from "../../src/webhooks/dispatcher.ts";
import { webhookEndpointRepository } from "../../src/webhooks/webhook-endpoints.repository.ts";
import { secretCell } from "../../src/webhooks/webhooks.ts";
import { type EngineUnderTest, engines, openForTest } from "../support/engine/engines.ts";
import { proofEvent } from "../support/report/records.ts";

const keyOf = (endpointId: string) => ({ tenantId: "dev", endpointId });
const key = keyOf("endpoint");

/** Posts an event to a url; the fake of a receiver. */
type FakePost = (url: string, delivery: DeliveryRequest, signal: AbortSignal) => Promise<string | undefined>;

/** Endpoints, each at the url of its name, and so many events of some users. */
async function endpointsOf(engine: EngineUnderTest, names: readonly string[], count: number, users = 7) {
  const opened = await openForTest(engine);
  const clock = { now: new Date("2026-03-01T12:00:00.000Z") };
  const keyring = await openKeyring(parseKeys(newKeys()), opened.store);
  const store = bindingStore(opened.store, keyring);
  const endpointOf = async (endpointId: string) => ({
    ...{ ...keyOf(endpointId), url: `https://${endpointId}.example.com/`, description: "", types: [], position: 0 },
    sealedSecret: await keyring.seal(Buffer.alloc(32, 7), secretCell(keyOf(endpointId))),
    ...{ sealedOldSecret: null, oldSecretExpireTime: null, paused: false, version: 1, replays: 0, failures: 0 },
    ...{ lastError: "", leaseId: null, lastSuccessTime: null },
    ...{ nextAttemptTime: clock.now, createTime: clock.now, updateTime: clock.now },
  });
  const rows = await Promise.all(names.map(endpointOf));
  await store.write(async (tx) => {
    for (const row of rows) await webhookEndpointRepository(tx).insert(row);
  });
  let made = 0;
  const happen = async (more: number) => {
    await store.write(async (tx) => {
      for (const end = made + more; made < end; made += 1) {
        const event = proofEvent(made, { userId: `user-${made % users}`, createTime: clock.now });
        await eventRepository(tx).insert(event);
      }
    });
    await sequenceEvents(store, "dev");
  };
  await happen(count);
  const posted: string[] = [];
  /** An instance that delivers; `post` answers once the test lets it. */
  const instance = (post: FakePost = async () => undefined, { timeOf = async () => clock.now } = {}) =>
    createDispatcher({
      ...{ store, keyring, clock: () => clock.now, timeOf, onFailed: () => {} },
      onTrouble: (error) => {
        throw error;
      },
      post: async (url, delivery, signal) => {
        posted.push(delivery.headers["webhook-id"] ?? "");
        return post(url, delivery, signal);
      },
    });
  const find = (endpointId = "endpoint") => store.read((tx) => webhookEndpointRepository(tx).find(keyOf(endpointId)));
  type Row = NonNullable<Awaited<ReturnType<typeof find>>>;
  /** Waits until an endpoint is so, and nothing is under way there; answers its row. */
  const until = async (is: (row: Row) => boolean, endpointId = "endpoint") => {
    for (;;) {
      const row = await find(endpointId);
      if (row && is(row) && row.leaseId === null) return row;
      await nextTurn();
    }
  };
  const reaches = (end: number, endpointId?: string) => until(({ position }) => position === end, endpointId);
  return { store, clock, happen, posted, instance, find, until, reaches };
}

/** A receiver that answers when the test says so. */
function held() {
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<string | undefined>()];
  const post: FakePost = () => {
    asked.resolve();
    return answer.promise;
  };
  return { post, asked: asked.promise, answer: answer.resolve };
}

const forget = statement((s: Building<{ userId: string }>) => {
  const t = s.table(events);
  return s.db
    .delete(t)
    .where(eq(t.userId, s.param("userId", t.userId)))
    .returning({ eventId: t.eventId });
});

describe.each(engines)("rounds of webhooks on $name", (engine) => {
  test("leave out what is gone by the time that it is due, as after an erasure", async () => {
    const { store, posted, instance, reaches } = await endpointsOf(engine, ["endpoint"], 8);
    const { post, asked, answer } = held();
    const isFirst = ({ headers }: DeliveryRequest) => headers["webhook-id"]?.endsWith("00") === true;
    const rounds = instance(async (url, delivery, signal) =>
      isFirst(delivery) ? post(url, delivery, signal) : undefined,
    );
    await rounds.look();
    await asked;
    // The round has read both events of this user, and the first is on its way.
    await store.write((tx) => tx.run(forget, { userId: "user-0" }));
    answer(undefined);
    await reaches(8);
    await rounds.stop();
    expect(posted.map((id) => Number(id.slice(-2))).sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test("deliver each event once, however many instances there are", async () => {
    const { posted, instance, reaches } = await endpointsOf(engine, ["endpoint"], 300);
    const instances = Array.from({ length: 6 }, () => instance());
    await Promise.all(instances.map(({ look }) => look()));
    expect(await reaches(300)).toMatchObject({ failures: 0 });
    await Promise.all(instances.map(({ stop }) => stop()));
    expect(posted).toHaveLength(300);
    expect(new Set(posted).size).toBe(300);
  });

  test("go on at each endpoint's own pace: one that does not answer delays nobody else's events", async () => {
    const { happen, instance, find, reaches } = await endpointsOf(engine, ["slow", "endpoint"], 3);
    const { post, asked, answer } = held();
    const rounds = instance((url, ...rest) => (url.includes("slow") ? post(url, ...rest) : Promise.resolve(undefined)));
    await rounds.look();
    await asked;
    await reaches(3);
    await happen(2);
    await rounds.look();
    await reaches(5);
    expect(await find("slow")).toMatchObject({ position: 0 });
    answer(undefined);
    await reaches(3, "slow");
    await rounds.look();
    await reaches(5, "slow");
  });

  test("serve no more than 64 endpoints at once, and the next as soon as one of them is done", async () => {
    const names = Array.from({ length: 66 }, (_, n) => `endpoint-${n}`);
    const { posted, instance, reaches } = await endpointsOf(engine, names, 1);
    const { post, answer } = held();
    const all = Promise.withResolvers<void>();
    const rounds = instance((...of) => {
      if (posted.length === 64) all.resolve();
      return post(...of);
    });
    await rounds.look();
    await all.promise;
    await rounds.look();
    expect(posted).toHaveLength(64);
    answer(undefined);
    while (posted.length < 66) {
      await rounds.look();
      await nextTurn();
    }
    for (const name of names) await reaches(1, name);
    expect(posted).toHaveLength(66);
  });

  test("never deliver to an endpoint twice at once, not even when the clock jumps", async () => {
    const { clock, posted, instance, reaches } = await endpointsOf(engine, ["endpoint"], 1);
    const { post, asked, answer } = held();
    const rounds = instance(post);
    await rounds.look();
    await asked;
    clock.now = new Date(clock.now.getTime() + 3_600_000);
    await rounds.look();
    answer(undefined);
    await reaches(1);
    await rounds.stop();
    expect(posted).toHaveLength(1);
  });

  test("end with the service: what was not taken is delivered after the next start", async () => {
    const { posted, instance, find, reaches } = await endpointsOf(engine, ["endpoint"], 7);
    const asked = Promise.withResolvers<void>();
    const rounds = instance(
      (_url, _delivery, signal) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => resolve("STOPPED"));
          asked.resolve();
        }),
    );
    await rounds.look();
    await asked.promise;
    await rounds.stop();
    expect(await find()).toMatchObject({ position: 0, failures: 0, lastError: "", leaseId: null });
    const before = posted.length;
    await rounds.look();
    expect(posted).toHaveLength(before);
    await instance().look();
    await reaches(7);
  });

  test("count each delivery that failed, but pause by the rounds that did", async () => {
    const { clock, instance, until, reaches } = await endpointsOf(engine, ["endpoint"], 7);
    let answer: string | undefined = "HTTP_503";
    const rounds = instance(async () => answer);
    for (const [count, pauseMs] of [[7, 1000] as const, [14, 2000] as const, [21, 4000] as const]) {
      await rounds.look();
      const row = await until(({ failures }) => failures === count);
      expect(row).toMatchObject({ position: 0, lastError: "HTTP_503", lastSuccessTime: null });
      expect(row.nextAttemptTime).toEqual(new Date(clock.now.getTime() + pauseMs));
      clock.now = row.nextAttemptTime;
    }
    answer = undefined;
    await rounds.look();
    expect(await reaches(7)).toMatchObject({ failures: 0, lastError: "", lastSuccessTime: clock.now });
  });

  test("begin the count anew with each delivery that is taken, and say when the last one was", async () => {
    const { clock, happen, instance, until } = await endpointsOf(engine, ["endpoint"], 2);
    const start = clock.now;
    const first = held();
    let taken = Promise.withResolvers<void>();
    const rounds = instance((url, delivery, signal) => {
      if (delivery.body.includes("user-0")) return first.post(url, delivery, signal);
      taken.resolve();
      return Promise.resolve(undefined);
    });
    await rounds.look();
    await taken.promise;
    await nextTurn();
    clock.now = new Date(start.getTime() + 5000);
    first.answer("HTTP_500");
    const one = await until(({ lastError }) => lastError !== "");
    expect(one).toMatchObject({ position: 0, failures: 1, lastError: "HTTP_500", lastSuccessTime: start });
    clock.now = one.nextAttemptTime;
    taken = Promise.withResolvers<void>();
    await happen(1);
    await rounds.look();
    const other = await until(({ nextAttemptTime }) => nextAttemptTime > clock.now);
    // Refused before the other user's was taken: what stands in the way is told all the same.
    expect(other).toMatchObject({ position: 0, failures: 0, lastError: "HTTP_500", lastSuccessTime: clock.now });
    expect(other.nextAttemptTime).toEqual(new Date(clock.now.getTime() + 2000));
  });

  test("that pass events over are no deliveries", async () => {
    const { store, clock, posted, instance, reaches } = await endpointsOf(engine, ["endpoint"], 3);
    const types = ["PROOF_SUCCEEDED" as const];
    await store.write(async (tx) => {
      const endpoints = webhookEndpointRepository(tx);
      const found = await endpoints.find(key);
      if (found) await endpoints.change({ ...found, types, now: clock.now });
    });
    await instance().look();
    expect(await reaches(3)).toMatchObject({ failures: 0, lastError: "", lastSuccessTime: null });
    expect(posted).toEqual([]);
  });

  test("are taken over a minute after their instance died, and it settles nothing any more", async () => {
    const { clock, posted, instance, reaches, find } = await endpointsOf(engine, ["endpoint"], 1);
    const { post, asked, answer } = held();
    const dead = instance(post);
    await dead.look();
    await asked;
    const next = instance();
    await next.look();
    clock.now = new Date(clock.now.getTime() + 60_000);
    await next.look();
    expect(await reaches(1)).toMatchObject({ failures: 0 });
    expect(posted).toHaveLength(2);
    answer("HTTP_500");
    await dead.stop();
    expect(await find()).toMatchObject({ position: 1, failures: 0, lastError: "" });
  });

  test("are due by the time that instances share, whatever their own clocks say", async () => {
    const { store, clock, posted, instance, reaches } = await endpointsOf(engine, ["endpoint"], 1);
    const shared = clock.now;
    const timeOf = async () => shared;
    const { post, asked, answer } = held();
    const first = instance(post, { timeOf });
    await first.look();
    await asked;
    clock.now = new Date(shared.getTime() + 3_600_000);
    const ahead = instance(undefined, { timeOf });
    await ahead.look();
    await ahead.stop();
    answer(undefined);
    await reaches(1);
    await first.stop();
    expect([posted.length, store.engine]).toEqual([1, engine.name]);
  });

  test("give up a receiver that takes nothing before all of the users have had their turn", async () => {
    const { posted, instance, until } = await endpointsOf(engine, ["endpoint"], 100, 100);
    const rounds = instance(async () => "HTTP_503");
    await rounds.look();
    await until(({ failures }) => failures > 0);
    await rounds.stop();
    expect(posted.length).toBeLessThan(30);
  });

  test("do not undo a replay that came while they were under way", async () => {
    const { store, clock, posted, instance, reaches } = await endpointsOf(engine, ["endpoint"], 3);
    const rounds = instance();
    await rounds.look();
    await reaches(3);
    const replay = (replays: number) =>
      store.write((tx) => webhookEndpointRepository(tx).putBack(key, 0, replays, clock.now));
    await replay(1);
    const { post, asked, answer } = held();
    const slow = instance(post);
    await slow.look();
    await asked;
    await replay(2);
    answer(undefined);
    await slow.stop();
    await rounds.look();
    await reaches(3);
    expect(posted).toHaveLength(9);
  });
});
