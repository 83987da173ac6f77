import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createVerification } from "../../src/audit/verification.ts";
import type { BackgroundLoop } from "../../src/compose/background.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { databaseTime } from "../../src/db/database-time.ts";
import { startWorker } from "../../src/delivery/worker.ts";
import { createErasure } from "../../src/erasure/erasure.ts";
import { openLedger } from "../../src/erasure/ledger.ts";
import { subjectTables } from "../../src/erasure/subject-data.repository.ts";
import { eventStreams } from "../../src/events/event-streams.table.ts";
import { events } from "../../src/events/events.table.ts";
import { forgetEvents, healStreams, sequenceAllEvents } from "../../src/events/sequencer.ts";
import { tables } from "../../src/schema.ts";
import { createTasks } from "../../src/tasks.ts";
import { createTenantSettings } from "../../src/tenant-settings/tenant-settings.ts";
import { createDispatcher } from "../../src/webhooks/dispatcher.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { switchOn } from "../support/actors/one-time-codes.ts";
import { reasonOf } from "../support/actors/push-phones.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { isFull, times } from "../support/engine/races.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [, postgres] = engines as [EngineUnderTest, EngineUnderTest];
const ROUNDS = isFull ? 40 : 1;
const USERS = 4;
const DAY = 24 * 3600 * 1000;

/** What the service does by itself, as another instance on the same database does it. */
async function otherInstance(service: ServiceUnderTest) {
  const { store, dataDir, clock } = service;
  const keyring = await openKeyring(await readKeyFile(join(dataDir, "keys.json")), store);
  const file = { totpIssuer: "mfa", webauthn: { rpIds: ["localhost"], origins: [] } };
  const { settingsOf } = createTenantSettings({ store, clock: () => clock.now, file: file as never });
  const tasks = createTasks({ keyring, settingsOf, algorithm: "ES256" });
  const onTrouble = (error: unknown) => {
    throw error;
  };
  const rounds = createDispatcher({
    ...{
      store,
      keyring,
      clock: () => clock.now,
      timeOf: databaseTime(store),
      onFailed: () => {},
      onTrouble,
      post: async () => undefined,
    },
  });
  const ledger = openLedger(join(dataDir, "erasures.jsonl"));
  const common = { store, keyring, clock: () => clock.now, timeOf: databaseTime(store) };
  const erasure = createErasure({ ...common, ledger, tables: subjectTables(tables) });
  const deliver = async () => {
    const worker = startWorker({ ...common, providers: [], onDelivered: () => {}, onDenied: () => {}, onTrouble });
    await worker.stop(1000);
  };
  const pumps: Record<BackgroundLoop["name"] | "delivery", () => Promise<unknown>> = {
    "events-placing": () => sequenceAllEvents(store),
    "event-streams": () => healStreams(store),
    webhooks: rounds.look,
    erasures: erasure.makeUp,
    delivery: deliver,
  };
  /** Tasks run as if far in the future: what can end has ended. */
  const run = (task: (typeof tasks)[number]) => () =>
    task.run({ store, now: new Date(clock.now.getTime() + 500 * DAY), signal: new AbortController().signal });
  const works = new Map<string, () => Promise<unknown>>(Object.entries(pumps));
  for (const task of tasks) works.set(task.name, run(task));
  return { works, keyring, stop: rounds.stop };
}

type Act = (service: ServiceUnderTest, userId: string) => Promise<unknown>;

const importOf: Act = async ({ internal, backend }, userId) => {
  const factors = [{ userId, kind: { case: "email" as const, value: `${userId}@example.com` } }];
  return internal.importFactors(
    { source: { case: "factors", value: { factors } }, commit: true },
    await backend("mfa.import"),
  );
};

/** What callers do meanwhile, to a user who was imported before; another import to one who is new. */
const acts: Record<string, Act> = {
  erasure: async ({ internal, backend }, userId) =>
    internal.eraseUser({ userId, erasureId: randomUUID() }, await backend("mfa.erase")),
  import: (service, userId) => importOf(service, `${userId}-too`),
  reset: async (service, userId) => service.admin.resetUserMfa({ userId, reason: "lost" }, await adminOf(service)),
  proof: async ({ internal, backend }, userId) =>
    internal.verifyUserTotpCode({ userId, code: "123456" }, await backend("mfa.verify")),
  retention: ({ store, clock }) => forgetEvents(store, { now: clock.now, retentionMsOf: async () => 0 }),
};

const names = [
  ...["events-placing", "event-streams", "webhooks", "erasures", "delivery"],
  ...createTasks({ keyring: {} as never, settingsOf: {} as never, algorithm: "ES256" }).map(({ name }) => name),
];

describe("what the service does by itself, beside what callers do, on PostgreSQL", () => {
  test.each(names)(
    "%s harms no erasure, import, reset, proof or retention, and none of them harms it",
    {
      timeout: 60_000 + 20_000 * ROUNDS,
    },
    async (name) => {
      const service = await serviceForTest(postgres);
      await switchOn(service);
      const { works, keyring, stop } = await otherInstance(service);
      expect([...works.keys()].sort()).toEqual(names.toSorted());
      const work = works.get(name) ?? (() => Promise.reject(new Error(name)));
      const outcomes = new Set<string>();
      for (const [kind, act] of Object.entries(acts)) {
        for (let round = 0; round < ROUNDS; round += 1) {
          const users = times(USERS, (n) => `${kind}-${round}-${n}`);
          await Promise.all(users.map((userId) => importOf(service, userId)));
          const calls = users.map((userId) => reasonOf(act(service, userId)));
          await Promise.all([...calls, work(), sequenceAllEvents(service.store), work()]);
          for (const call of calls) outcomes.add(await call);
          await sequenceAllEvents(service.store);
        }
      }
      await stop();
      expect([...outcomes].filter((outcome) => !["OK", "CODE_REJECTED", "NOT_FOUND"].includes(outcome))).toEqual([]);
      await importOf(service, "last");
      await sequenceAllEvents(service.store);
      const places = (await rowsIn(service.store, events)).map(({ position }) => position ?? 0);
      expect(new Set(places).size).toBe(places.length);
      const [stream] = await rowsIn(service.store, eventStreams);
      expect(stream?.position).toBe(Math.max(...places));
      expect(Math.min(...places)).toBeGreaterThan(stream?.floor ?? 0);
      const verify = createVerification({ store: service.store, keyring });
      const whole = { tenantId: "dev", start: 0, end: 0, checkpoint: undefined };
      expect((await verify(whole, new AbortController().signal)).firstBroken).toBe(0);
    },
  );
});
