import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import type { Store } from "../../src/db/store.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, inSession } from "../support/actors/backend.ts";
import { failure, grpcClient, streamer } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { execute } from "../support/engine/postgres.ts";
import { secondInstance } from "../support/worlds/instances.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const [, postgres] = engines as [EngineUnderTest, EngineUnderTest];

/** Opens the stream of a backend's challenge of ann's. */
const watching = (port: number, token: string, challengeId: string) => {
  const stream = streamer(port)(InternalMfaService.method.watchUserChallenge, { userId: "ann", challengeId }, token);
  return { ...stream, state: async () => (await stream.next())?.challenge?.state };
};

/** An engine whose reads are counted. */
function counting(engine: EngineUnderTest) {
  const count = { reads: 0 };
  const open = async () => {
    const opened = await engine.open();
    const read: Store["read"] = (work) => {
      count.reads++;
      return opened.store.read(work);
    };
    return { ...opened, store: { ...opened.store, read } };
  };
  return { count, engine: { ...engine, open } };
}

describe.each(engines)("watching a challenge on $name", (engine) => {
  test("a stream shows it as it stands, then each change, and ends with the last", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const stream = watching(service.port, backend, challengeId);
    expect(await stream.state()).toBe(ChallengeState.PENDING);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(await stream.state()).toBe(ChallengeState.PROVEN);
    await service.internal.cancelUserChallenge({ userId: "ann", challengeId }, backend);
    expect(await stream.state()).toBe(ChallengeState.CANCELLED);
    expect(await stream.next()).toBeUndefined();
  });

  test("a stream hears of a lock, of a change of factors and of the end of its time", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const begin = async () => {
      const challengeId = await createFor(service, "ann", backend);
      const stream = watching(service.port, backend, challengeId);
      expect(await stream.state()).toBe(ChallengeState.PENDING);
      return { ...stream, challengeId };
    };
    const changed = await begin();
    await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    expect(await changed.state()).toBe(ChallengeState.CANCELLED);

    const late = await begin();
    service.pass(5 * MINUTE);
    expect(await late.state()).toBe(ChallengeState.EXPIRED);

    const locked = await begin();
    const wrong = { userId: "ann", challengeId: locked.challengeId, code: await wrongCode(app) };
    for (let n = 0; n < 5; n++) await failure(answer(service, backend, wrong));
    expect(await locked.state()).toBe(ChallengeState.LOCKED);
    for (const stream of [changed, late, locked]) expect(await stream.next()).toBeUndefined();
  });

  test("other sessions and backends hear nothing", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const challengeId = await createFor(service, "ann", await backendOf(service), { sessionId: "one" });
    const bank = watching(service.port, await backendOf(service, "bank"), challengeId);
    expect((await failure(bank.next())).reason).toBe("NOT_FOUND");
    const page = (token: string) => streamer(service.port)(MfaService.method.watchChallenge, { challengeId }, token);
    expect((await failure(page(await inSession(service, "ann", "two")).next())).reason).toBe("NOT_FOUND");
    const own = await page(await inSession(service, "ann", "one")).next();
    expect(own?.challenge?.state).toBe(ChallengeState.PENDING);
  });

  test("no query is made while nothing changes", async () => {
    const { count, engine: counted } = counting(engine);
    const service = await serviceForTest(counted);
    await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const streams = Array.from({ length: 20 }, () => watching(service.port, backend, challengeId));
    for (const stream of streams) expect(await stream.state()).toBe(ChallengeState.PENDING);
    // Whatever PostgreSQL's first connection has everybody look at again is over with this.
    const other = await createFor(service, "ann", backend);
    await service.internal.cancelUserChallenge({ userId: "ann", challengeId: other }, backend);
    await vi.waitFor(() => expect(count.reads).toBeGreaterThanOrEqual(40));
    const before = count.reads;
    await createFor(service, "bob", backend);
    await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(count.reads - before).toBeLessThan(20);
  });
});

describe("two instances on one PostgreSQL", () => {
  test("what is proved at one is seen at the other", async () => {
    const service = await serviceForTest(postgres);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const stream = watching(await secondInstance(service, postgres), backend, challengeId);
    expect(await stream.state()).toBe(ChallengeState.PENDING);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    expect(await stream.state()).toBe(ChallengeState.PROVEN);
  });

  test("a stream whose instance was cut off from the others looks again when it is back", async () => {
    const service = await serviceForTest(postgres);
    await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const port = await secondInstance(service, postgres);
    const client = grpcClient(InternalMfaService, port);
    onTestFinished(() => client.close());
    for (let n = 0; n < 3; n++) {
      const challengeId = await createFor(service, "ann", backend);
      const stream = watching(port, backend, challengeId);
      expect(await stream.state()).toBe(ChallengeState.PENDING);
      await execute(service.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'");
      await service.internal.cancelUserChallenge({ userId: "ann", challengeId }, backend);
      expect(await stream.state()).toBe(ChallengeState.CANCELLED);
    }
  });
});
