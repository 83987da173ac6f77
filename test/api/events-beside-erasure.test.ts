import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { EventType } from "../../gen/mfa/v1/event_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { type Store, StoreUnavailable } from "../../src/db/store.ts";
import { eventStreams } from "../../src/events/event-streams.table.ts";
import { eventRepository } from "../../src/events/events.repository.ts";
import { events } from "../../src/events/events.table.ts";
import { forgetEvents, healStreams, sequenceAllEvents, sequenceEvents } from "../../src/events/sequencer.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { failure, streamer } from "../support/actors/grpc-client.ts";
import { switchOn } from "../support/actors/one-time-codes.ts";
import { reasonOf } from "../support/actors/push-phones.ts";
import { type EngineUnderTest, engines, openForTest } from "../support/engine/engines.ts";
import { holding } from "../support/engine/held-locks.ts";
import { isFull, rounds, times } from "../support/engine/races.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { webhookReceiver } from "../support/fakes/webhook-receiver.ts";
import { proofEvent } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [, postgres] = engines as [EngineUnderTest, EngineUnderTest];
const MINUTE = 60_000;
const WORKERS = 8;
const EACH = 6;
const FULL_MS = 10 * MINUTE;

type Beside = { readonly store: Store; readonly clock: { readonly now: Date } };

const places = async ({ store }: Pick<Beside, "store">) =>
  (await rowsIn(store, events)).map(({ position }) => position ?? 0).sort((a, b) => a - b);
const endOf = async ({ store }: Pick<Beside, "store">) => (await rowsIn(store, eventStreams))[0]?.position;

const list = async (service: ServiceUnderTest, tenant = "dev") =>
  service.internal.listEvents(
    {},
    await service.mint({ audience: "mfa-internal", subject: "shop", scope: "mfa.events.read", tenant }),
  );

/** Writes an event of a tenant, without a place. */
const happen = ({ store, clock }: Beside, n: number, userId: string, tenantId = "dev") =>
  store.write((tx) => eventRepository(tx).insert({ ...proofEvent(n, { userId, createTime: clock.now }), tenantId }));

/** Writes many events without a place, in an order that is not that of their ids. */
const muchHappens = async ({ store, clock }: ServiceUnderTest, many: number, userId: string) => {
  const STEP = 7_919; // a prime: each id comes once
  for (let from = 0; from < many; from += 1_000) {
    const ids = times(1_000, (n) => ((from + n) * STEP) % many);
    const rows = ids.map((n) => proofEvent(n, { userId, createTime: clock.now }));
    await store.write((tx) => eventRepository(tx).insertAll(rows));
  }
};

describe.each(engines)("many events at once on $name", (engine) => {
  test("each gets its place, however many came since the database looked at its tables", async () => {
    const service = await serviceForTest(engine);
    await muchHappens(service, 10_000, "ann");
    await sequenceAllEvents(service.store);
    expect(await places(service)).toEqual(times(10_000, (n) => n + 1));
  });

  test("a user is erased while theirs get their places, and the caller hears of no race", async () => {
    const service = await serviceForTest(engine);
    for (const user of times(2 * rounds, (n) => `user ${n}`)) {
      await muchHappens(service, 6_000, user);
      const request = { userId: user, erasureId: randomUUID() };
      const erased = service.internal.eraseUser(request, await service.backend("mfa.erase"));
      await Promise.all([erased, sequenceAllEvents(service.store)]);
      expect((await rowsIn(service.store, events)).filter(({ userId }) => userId === user)).toEqual([]);
    }
  });
});

describe("events beside erasures on PostgreSQL", () => {
  test("the stream goes on when events are erased at the moment in which they are placed", async () => {
    // A store without a service: a background loop might place the events before the erasure holds them.
    const { store, url } = await openForTest(postgres);
    const opened = { store, clock: { now: new Date("2026-03-01T12:00:00Z") } };
    for (const n of [1, 2, 3, 4]) await happen(opened, n, n < 3 ? "ann" : "bob");
    const erasure = await holding({ url }, "DELETE FROM events WHERE user_id = 'ann'");
    const placing = sequenceEvents(store, "dev");
    await erasure.isWaitedFor();
    await erasure.commit();
    await placing;
    expect(await endOf(opened)).toBe((await places(opened)).at(-1));
    for (const n of [5, 6, 7]) await happen(opened, n, "cleo");
    await sequenceEvents(store, "dev");
    const inOrder = (await rowsIn(store, events)).toSorted((one, other) => (one.position ?? 0) - (other.position ?? 0));
    expect(inOrder.map(({ userId }) => userId)).toEqual(["bob", "bob", "cleo", "cleo", "cleo"]);
    expect(await endOf(opened)).toBe(inOrder.at(-1)?.position);
  });

  test("a stream that ends before its own events is healed, and shows them", async () => {
    const service = await serviceForTest(postgres);
    for (const n of [1, 2, 3]) await happen(service, n, "ann");
    await sequenceEvents(service.store, "dev");
    await service.execute("UPDATE event_streams SET position = 1");
    await happen(service, 4, "bob");
    expect((await list(service)).events).toHaveLength(4);
    await service.execute("UPDATE event_streams SET position = 2");
    await healStreams(service.store);
    expect(await endOf(service)).toBe(4);
  });

  test("a tenant whose events cannot be placed keeps no other tenant's from it", async () => {
    const service = await serviceForTest(postgres);
    await service.execute(
      `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`,
      "CREATE TRIGGER no BEFORE UPDATE ON events FOR EACH ROW WHEN (OLD.tenant_id = 'a') EXECUTE FUNCTION no()",
    );
    await happen(service, 1, "ann", "a");
    await happen(service, 1, "bob", "dev");
    await expect(sequenceAllEvents(service.store)).rejects.toThrow();
    const placed = (await rowsIn(service.store, events)).map(({ tenantId, position }) => [tenantId, position]);
    expect(placed).toEqual([
      ["a", null],
      ["dev", 1],
    ]);
    expect((await failure(list(service, "a"))).code).toBe(status.INTERNAL);
    expect((await list(service)).events).toHaveLength(1);
  });

  test(`${WORKERS} workers import, prove, erase, place and forget: each event has one place, and streams and webhooks go on`, {
    timeout: FULL_MS + 2 * MINUTE,
  }, async () => {
    const receiver = await webhookReceiver();
    const service = await serviceForTest(postgres, { webhooks: receiver.settings });
    await switchOn(service);
    const types = [EventType.USER_ERASED];
    const admin = await adminOf(service, "mfa.settings.write");
    await service.admin.createWebhookEndpoint({ url: receiver.url, types }, admin);
    const token = () => service.backend("mfa.events.read mfa.import mfa.verify mfa.erase");
    const stream = streamer(service.port)(InternalMfaService.method.watchEvents, {}, await token());
    await stream.next();
    const seen: { id: string; place: number; type: EventType }[] = [];
    const reading = (async () => {
      for (let next = await stream.next(); next; next = await stream.next()) {
        if (!next.event) continue;
        const { eventId: id, type } = next.event;
        seen.push({ id, type, place: Number(next.event.cursor.split(".")[0]) });
        if (next.event.userId === "last") return;
      }
    })();
    const outcomes = new Set<string>();
    let [erased, working] = [0, true];
    const ends = performance.now() + FULL_MS;
    const work = async (worker: number) => {
      for (let n = 0; isFull ? performance.now() < ends : n < EACH; n += 1) {
        const users = times(4, (k) => `user-${worker}-${n}-${k}`);
        const value = {
          factors: users.map((userId) => ({
            userId,
            kind: { case: "email" as const, value: `${userId}@example.com` },
          })),
        };
        outcomes.add(
          await reasonOf(
            service.internal.importFactors({ source: { case: "factors", value }, commit: true }, await token()),
          ),
        );
        await Promise.all(
          users.flatMap(async (userId) => [
            outcomes.add(
              await reasonOf(service.internal.verifyUserTotpCode({ userId, code: "123456" }, await token())),
            ),
            outcomes.add(
              await reasonOf(service.internal.eraseUser({ userId, erasureId: randomUUID() }, await token())),
            ),
          ]),
        );
        erased += users.length;
        service.pass(1000);
      }
    };
    const beside = async () => {
      while (working) {
        // As a background loop does: a unit that waited longer than the store allows is run again.
        await sequenceAllEvents(service.store).catch((thrown) => {
          if (!(thrown instanceof StoreUnavailable)) throw thrown;
        });
        // Far enough behind for a busy machine: what is followed is not forgotten before it is read.
        await forgetEvents(service.store, { now: service.clock.now, retentionMsOf: async () => 10 * MINUTE });
        await sleep(1);
      }
    };
    const upkeep = [beside(), beside()];
    await Promise.all(times(WORKERS, work));
    working = false;
    await Promise.all(upkeep);
    await happen(service, 1, "last");
    await reading;
    stream.cancel();
    // First: of an erasure that failed there is no delivery to wait for.
    expect([...outcomes].sort()).toEqual(["CODE_REJECTED", "OK"]);
    const delivered = () => new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size;
    // A delivery that a busy machine did not get through is tried again after a pause, by the clock of the test.
    while (delivered() < erased) {
      service.pass(1000);
      await sleep(50);
    }
    expect(seen.map(({ place }) => place)).toEqual(seen.map(({ place }) => place).toSorted((a, b) => a - b));
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
    expect(seen.filter(({ type }) => type === EventType.USER_ERASED)).toHaveLength(erased);
    expect(delivered()).toBe(erased);
    const kept = await places(service);
    expect(new Set(kept).size).toBe(kept.length);
    expect(await endOf(service)).toBe(kept.at(-1));
  });
});
