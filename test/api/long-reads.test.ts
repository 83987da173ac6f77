import { describe, expect, test } from "vitest";
import { EventType } from "../../gen/mfa/v1/event_pb.js";
import type { Store } from "../../src/db/store.ts";
import { eventRepository } from "../../src/events/events.repository.ts";
import { sequenceEvents } from "../../src/events/sequencer.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { proofEvent } from "../support/report/records.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const EVENTS = 3_000;
/** What a unit reads at most for a list, whose pages are shorter. */
const MOST_ROWS = 250;

/** A service whose store counts the rows that each unit has read: on SQLite nobody else has a turn within one. */
async function countingService(engine: EngineUnderTest) {
  const units: number[] = [];
  const open = async () => {
    const opened = await engine.open();
    const read: Store["read"] = (work) =>
      opened.store.read(async (tx) => {
        let rows = 0;
        const result = await work({
          announce: tx.announce,
          run: async (statement, params) => {
            const found = await tx.run(statement, params);
            rows += found.length;
            return found;
          },
        });
        units.push(rows);
        return result;
      });
    return { ...opened, store: { ...opened.store, read } };
  };
  const service = await serviceForTest({ ...engine, open });
  await enrollApp(service, "ann");
  await service.store.write(async (tx) => {
    for (let n = 0; n < EVENTS; n += 1) {
      const type = n === EVENTS - 1 ? ("USER_LOCKED" as const) : ("PROOF_FAILED" as const);
      await eventRepository(tx).insert(proofEvent(n, { userId: "ann", type, createTime: service.clock.now }));
    }
  });
  await sequenceEvents(service.store, "dev");
  /** The rows of each unit that a call reads. */
  const during = async (call: () => Promise<unknown>) => {
    units.length = 0;
    await call();
    return [...units];
  };
  return { ...service, during };
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

describe.each(engines)("reads of a heavy user of a heavy tenant on $name", (engine) => {
  test("a page of events reads as many rows as it shows, however many there are", { timeout: 120_000 }, async () => {
    const service = await countingService(engine);
    const token = await service.backend("mfa.events.read");
    const list = (request: object) => service.during(() => service.internal.listEvents(request, token));
    for (const filter of [{}, { userId: "ann" }, { types: [EventType.USER_LOCKED] }, { userId: "bob" }]) {
      expect(sum(await list({ pageSize: 1, filter })), JSON.stringify(filter)).toBeLessThan(20);
    }
    const whole = await list({ pageSize: 250 });
    expect(Math.max(...whole)).toBeLessThanOrEqual(MOST_ROWS);
    expect(sum(whole)).toBeLessThan(300);
    const { events } = await service.internal.listEvents({ filter: { types: [EventType.USER_LOCKED] } }, token);
    expect(events.map(({ type }) => type)).toEqual([EventType.USER_LOCKED]);
  });

  test("an export reads one table at a time, so that others have their turn between", {
    timeout: 120_000,
  }, async () => {
    const service = await countingService(engine);
    const admin = await adminOf(service, "mfa.export");
    const units = await service.during(() => service.admin.exportUser({ userId: "ann", reason: "asked" }, admin));
    expect(units.filter((rows) => rows > 0).length).toBeGreaterThan(3);
    expect(Math.max(...units)).toBe(1_001);
  });
});
