import { createHash } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { EventType, FailureReason } from "../../gen/mfa/v1/event_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Store, Tx } from "../../src/db/store.ts";
import { eventRepository } from "../../src/events/events.repository.ts";
import { events as eventTable } from "../../src/events/events.table.ts";
import { forgetEvents, sequenceAllEvents, sequenceEvents } from "../../src/events/sequencer.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, redeem } from "../support/actors/backend.ts";
import { failure, streamer } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { isFull } from "../support/engine/races.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { proofEvent } from "../support/report/records.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const DAY = 24 * 3600 * 1000;
const WRITERS = isFull ? 400 : 60;

async function watched(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  const token = (tenant = "dev") =>
    service.mint({ audience: "mfa-internal", subject: "shop", scope: "mfa.events.read", tenant });
  let made = 0;
  const write = async (tx: Tx, userId: string, type: "PROOF_FAILED" | "PROOF_SUCCEEDED" = "PROOF_FAILED") => {
    await eventRepository(tx).insert(proofEvent(++made, { userId, type, createTime: service.clock.now }));
  };
  return {
    ...service,
    token,
    write,
    /** So many events, one after the other. */
    happen: async (count: number, userId = "ann", store: Store = service.store) => {
      for (let n = 0; n < count; n += 1) await store.write((tx) => write(tx, userId));
    },
    list: async (request = {}) => (await service.internal.listEvents(request, await token())).events,
    watch: async (request = {}) =>
      streamer(service.port)(InternalMfaService.method.watchEvents, request, await token()),
    forget: () => forgetEvents(service.store, { now: service.clock.now, retentionMsOf: async () => 30 * DAY }),
  };
}

describe.each(engines)("events on $name", (engine) => {
  test("tell backends what happened, to whom, from where and why, in order", async () => {
    const service = await watched(engine);
    const app = await enrollApp(service, "ann");
    await failure(service.mfa.verifyTotpCode({ code: await wrongCode(app) }, app.token));
    const events = await service.list();
    expect(events.map(({ type }) => type)).toEqual([
      EventType.FACTOR_ENROLLED,
      EventType.PROOF_SUCCEEDED,
      EventType.PROOF_FAILED,
    ]);
    expect(events[0]).toMatchObject({
      userId: "ann",
      factorType: FactorType.TOTP,
      factorId: app.deviceId,
      mfaEpoch: 1n,
      actorType: Principal.USER,
      actorId: "",
      ip: "127.0.0.1",
    });
    expect(events[2]).toMatchObject({ failureReason: FailureReason.WRONG, mfaEpoch: 0n });
    expect(events.map(({ attemptsRemaining }) => attemptsRemaining)).toEqual([0, 0, 4]);
    expect(events[0]?.userAgent).toContain("grpc-node");
  });

  test("of one challenge carry the digest of its id, by which they belong together, and never the id", async () => {
    const service = await watched(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const code = await wrongCode(app);
    await failure(answer(service, backend, { userId: "ann", challengeId, code }));
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    await redeem(service, backend, { challengeId });
    const digest = createHash("sha256").update(challengeId).digest("base64url");
    const events = await service.list();
    expect(events.filter((event) => event.challengeDigest === digest).map(({ type }) => type)).toEqual([
      EventType.CHALLENGE_CREATED,
      EventType.PROOF_FAILED,
      EventType.PROOF_SUCCEEDED,
      EventType.CHALLENGE_REDEEMED,
    ]);
    expect(events[0]).toMatchObject({ type: EventType.FACTOR_ENROLLED, challengeDigest: "" });
    expect(JSON.stringify(await rowsIn(service.store, eventTable))).not.toContain(challengeId);
  });

  test("are read page by page, by type and by user, and on from any cursor", async () => {
    const service = await watched(engine);
    await service.happen(4, "ann");
    await service.happen(3, "bob");
    await service.store.write((tx) => service.write(tx, "ann", "PROOF_SUCCEEDED"));
    const all = await service.list();
    expect(all).toHaveLength(8);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await service.internal.listEvents({ pageSize: 3, pageToken }, await service.token());
      seen.push(...page.events.map(({ eventId }) => eventId));
      pageToken = page.nextPageToken;
    } while (pageToken);
    expect(seen).toEqual(all.map(({ eventId }) => eventId));
    expect(await service.list({ filter: { userId: "bob" } })).toHaveLength(3);
    expect(await service.list({ filter: { types: [EventType.PROOF_SUCCEEDED] } })).toEqual(all.slice(-1));
    for (const [n, { cursor }] of all.entries()) {
      expect(await service.list({ afterCursor: cursor })).toEqual(all.slice(n + 1));
    }
    const page = await service.internal.listEvents({ pageSize: 3 }, await service.token());
    const filter = { userId: "bob" };
    const moved = service.internal.listEvents({ pageToken: page.nextPageToken, filter }, await service.token());
    expect((await failure(moved)).reason).toBe("INVALID_PAGE_TOKEN");
    expect((await service.internal.listEvents({}, await service.token("other"))).events).toEqual([]);
  });

  test("are read from a time on", async () => {
    const service = await watched(engine);
    await service.happen(2);
    service.pass(60_000);
    const startTime = { seconds: BigInt(service.clock.now.getTime() / 1000), nanos: 0 };
    expect(await service.list({ startTime })).toEqual([]);
    await service.happen(2);
    expect(await service.list({ startTime })).toHaveLength(2);
  });

  test("miss nothing and repeat nothing while many are written and two instances place them", async () => {
    const service = await watched(engine);
    const writers = Array.from({ length: WRITERS }, (_, n) => service.happen(3, `user-${n}`));
    const seen: string[] = [];
    let cursor = "";
    const read = async () => {
      const [events] = await Promise.all([
        service.list({ afterCursor: cursor, pageSize: 250 }),
        sequenceAllEvents(service.store),
      ]);
      seen.push(...events.map(({ eventId }) => eventId));
      cursor = events.at(-1)?.cursor ?? cursor;
    };
    let writing = true;
    const written = Promise.all(writers).finally(() => {
      writing = false;
    });
    while (writing) await read();
    await written;
    for (let before = -1; before < seen.length; ) {
      before = seen.length;
      await read();
    }
    expect(seen).toHaveLength(3 * WRITERS);
    expect(new Set(seen).size).toBe(3 * WRITERS);
    expect((await service.list({ pageSize: 250 })).map(({ eventId }) => eventId)).toEqual(seen.slice(0, 250));
  });

  test("are followed as they happen, from a cursor on, each once", async () => {
    const service = await watched(engine);
    await service.happen(2);
    const [first] = await service.list();
    const stream = await service.watch({ afterCursor: first?.cursor });
    expect((await stream.next())?.event).toBeUndefined();
    expect((await stream.next())?.event?.cursor).toBe((await service.list())[1]?.cursor);
    await service.happen(1, "bob");
    const live = await stream.next();
    expect(live?.event?.userId).toBe("bob");
    expect(live?.cursor).toBe(live?.event?.cursor);
    const fresh = await service.watch();
    const begins = await fresh.next();
    await service.happen(1, "cleo");
    expect((await fresh.next())?.event?.userId).toBe("cleo");
    const again = await service.watch({ afterCursor: begins?.cursor });
    await again.next();
    expect((await again.next())?.event?.userId).toBe("cleo");
  });

  test("tell how far the stream is, also behind events that nobody asked for", async () => {
    const service = await watched(engine);
    const stream = await service.watch({ filter: { userId: "bob" } });
    const begins = await stream.next();
    await service.happen(2, "ann");
    const moved = await stream.next();
    expect(moved?.event).toBeUndefined();
    expect(moved?.cursor).not.toBe(begins?.cursor);
    await service.happen(1, "bob");
    expect(await service.list({ afterCursor: moved?.cursor, filter: { userId: "bob" } })).toHaveLength(1);
  });

  test("show every 30 seconds that the stream lives, and end it after an hour", async () => {
    const service = await watched(engine);
    const stream = await service.watch();
    const begins = await stream.next();
    service.pass(31_000);
    expect(await stream.next()).toEqual(begins);
    service.pass(3600_000);
    let last = await stream.next();
    while (last !== undefined) last = await stream.next();
  });

  test("are kept as long as the tenant says; a cursor before that is refused", async () => {
    const service = await watched(engine);
    await service.happen(3);
    const old = await service.list();
    service.pass(29 * DAY);
    await service.happen(2, "bob");
    const [, , , kept] = await service.list();
    service.pass(2 * DAY);
    await service.forget();
    expect((await service.list()).map(({ userId }) => userId)).toEqual(["bob", "bob"]);
    const refused = await failure(service.list({ afterCursor: old[1]?.cursor }));
    expect(refused).toMatchObject({ code: status.OUT_OF_RANGE, reason: "CURSOR_EXPIRED" });
    expect(refused.metadata.oldest_time).toBe("2026-03-01T12:00:00.000Z");
    // Nothing behind the last one that is forgotten was missed.
    expect(await service.list({ afterCursor: old[2]?.cursor })).toHaveLength(2);
    expect(await service.list({ afterCursor: kept?.cursor })).toHaveLength(1);
    const stream = await service.watch({ afterCursor: old[0]?.cursor });
    expect((await failure(stream.next())).reason).toBe("CURSOR_EXPIRED");
  });

  test("that are young are kept, also those that were placed before one that tells of long ago", async () => {
    const service = await watched(engine);
    await service.happen(2, "old");
    service.pass(40 * DAY);
    await service.happen(2, "young");
    const late = proofEvent(9, { userId: "late", createTime: new Date(service.clock.now.getTime() - 39 * DAY) });
    await service.store.write((tx) => eventRepository(tx).insert(late));
    await sequenceEvents(service.store, "dev");
    await service.happen(1, "young");
    await sequenceEvents(service.store, "dev");
    await service.forget();
    expect((await service.list()).map(({ userId }) => userId)).toEqual(["young", "young", "late", "young"]);
    service.pass(31 * DAY);
    await service.happen(1, "newest");
    await sequenceEvents(service.store, "dev");
    await service.forget();
    expect((await service.list()).map(({ userId }) => userId)).toEqual(["newest"]);
  });

  test("refuse a cursor of another history, of the future, and one that is none", async () => {
    const service = await watched(engine);
    await service.happen(3);
    const [, second] = await service.list();
    const otherEvent = second?.cursor.replace(/[0-9a-f]{12}$/, "0123456789ab");
    for (const afterCursor of [otherEvent, "99.0123456789ab"]) {
      expect((await failure(service.list({ afterCursor }))).reason, afterCursor).toBe("CURSOR_EXPIRED");
    }
    for (const afterCursor of ["x", "1", "-1.0", "1.x", "01.0", "1e3.0"]) {
      expect((await failure(service.list({ afterCursor }))).reason, afterCursor).toBe("INVALID_FIELD");
    }
  });

  test("are placed in turns where there are more than fit one unit", async () => {
    const service = await watched(engine);
    await service.store.write(async (tx) => {
      for (let n = 0; n < 1500; n += 1) await service.write(tx, "ann");
    });
    await sequenceEvents(service.store, "dev");
    const positions: string[] = [];
    let pageToken = "";
    do {
      const page = await service.internal.listEvents({ pageSize: 250, pageToken }, await service.token());
      positions.push(...page.events.map(({ cursor }) => cursor.split(".")[0] ?? ""));
      pageToken = page.nextPageToken;
    } while (pageToken);
    expect(positions).toEqual(Array.from({ length: 1500 }, (_, n) => String(n + 1)));
  });
});

// SQLite has one writer at a time: there nothing commits in between.
describe.each(engines.filter(({ name }) => name === "postgres"))("events on $name, with many writers,", (engine) => {
  test("come late if they commit late, whatever their id", async () => {
    const service = await watched(engine);
    const late = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = service.store.write(async (tx) => {
      await service.write(tx, "slow");
      begun.resolve();
      await late.promise;
    });
    await begun.promise;
    await service.happen(1, "quick");
    const [first] = await service.list();
    expect(first?.userId).toBe("quick");
    late.resolve();
    await slow;
    const behind = await service.list({ afterCursor: first?.cursor });
    expect(behind.map(({ userId }) => userId)).toEqual(["slow"]);
    expect((behind[0]?.eventId ?? "") < (first?.eventId ?? "")).toBe(true);
  });
});
