import { describe, expect, test } from "vitest";
import { createLeases, LEASE_MS, TaskLost } from "../../src/schedule/leases.ts";
import { scheduledTaskRepository, taskRunRepository } from "../../src/schedule/schedule.repository.ts";
import { parseSchedule } from "../../src/schedule/schedule-expression.ts";
import type { Task } from "../../src/schedule/task.ts";
import { type EngineUnderTest, engines, openForTest } from "../support/engine/engines.ts";
import { gate, instanceOn, taskFor } from "../support/worlds/schedule.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const YEAR = 365 * 24 * HOUR;
const NOON = new Date("2026-03-01T12:00:00.000Z");
const NAME = "event_retention";

async function scheduled(engine: EngineUnderTest) {
  const { store } = await openForTest(engine);
  const clock = { now: NOON };
  const page = { position: { time: new Date(0), id: "" }, size: 100 };
  return {
    store,
    clock,
    instance: (tasks: readonly Task[], name?: string) => instanceOn(store, clock, tasks, name),
    pass: (ms: number) => {
      clock.now = new Date(clock.now.getTime() + ms);
    },
    row: async () => (await store.read((tx) => scheduledTaskRepository(tx).list())).find(({ name }) => name === NAME),
    /** Oldest first. */
    history: async () =>
      (await store.read((tx) => taskRunRepository(tx).list({ taskName: NAME, outcome: "" }, page))).rows.reverse(),
  };
}

describe.each(engines)("the schedule on $name", (engine) => {
  test("runs a task once whenever it is due, in one of many instances that look at the same moment", async () => {
    const { instance, pass, history, row } = await scheduled(engine);
    let runs = 0;
    const task = taskFor(async () => ++runs);
    const instances = Array.from({ length: 12 }, (_, n) => instance([task], `i${n}`));
    await Promise.all(instances.map((one) => one.introduce()));
    for (let hour = 0; hour < 3; hour += 1) {
      await Promise.all(instances.map((one) => one.turn()));
      await Promise.all(instances.map((one) => one.turn()));
      expect(runs).toBe(hour + 1);
      pass(HOUR);
    }
    const times = [0, 1, 2].map((n) => new Date(NOON.getTime() + n * HOUR));
    expect((await history()).map(({ scheduledTime }) => scheduledTime)).toEqual(times);
    expect(await row()).toMatchObject({ fence: 3, runId: null, leaseOwner: "", lastCount: 3, lastError: "" });
    expect(instances.flatMap((one) => one.troubles)).toEqual([]);
  });

  test("makes up for times that were missed by one run, and goes on in step", async () => {
    const { instance, pass, history, row } = await scheduled(engine);
    const one = instance([taskFor(async () => 0)]);
    await one.introduce();
    await one.turn();
    pass(5 * HOUR + 10 * MINUTE);
    await one.turn();
    await one.turn();
    expect(await history()).toHaveLength(2);
    expect((await row())?.nextRunTime).toEqual(new Date(NOON.getTime() + 6 * HOUR));
  });

  test("has another instance take over from one that was killed, and lets nothing of the killed one be written", async () => {
    const { store, clock, instance, pass, history, row } = await scheduled(engine);
    const other = instance([taskFor(async () => 7)], "other");
    await other.introduce();
    const killed = createLeases({ store, timeOf: async () => clock.now, instance: "killed" });
    const begun = await killed.begin(NAME, parseSchedule("PT1H"));
    if (!begun) throw new Error("nothing was due");
    pass(LEASE_MS - 1);
    await other.turn();
    expect(other.runs).toEqual([]);
    // Who speaks in time keeps it.
    await store.write((tx) => killed.hold(tx, begun));
    pass(LEASE_MS - 1);
    await other.turn();
    expect(other.runs).toEqual([]);
    pass(1);
    await other.turn();
    expect(other.runs).toMatchObject([{ outcome: "SUCCEEDED", count: 7, manual: false }]);
    expect(await history()).toMatchObject([
      { instance: "killed", outcome: "LOST", scheduledTime: NOON, endTime: clock.now },
      { instance: "other", outcome: "SUCCEEDED", scheduledTime: NOON },
    ]);
    // It was not dead but stopped, and goes on.
    await expect(store.write((tx) => killed.hold(tx, begun))).rejects.toThrow(TaskLost);
    const before = await row();
    expect(await killed.end(begun, { outcome: "SUCCEEDED", count: 1, error: "", again: true })).toBe(false);
    expect(await row()).toEqual(before);
    expect((await history())[0]).toMatchObject({ outcome: "LOST", count: 0 });
  });

  test("fails the units of a run that has lost its task, and writes nothing of them", async () => {
    const { store, instance, pass, history } = await scheduled(engine);
    const slow = gate();
    const written: unknown[] = [];
    const mark = { position: NOON, size: 1 };
    const one = instance([
      taskFor(async (running) => {
        await slow.run(running);
        await running.store
          .write((tx) => scheduledTaskRepository(tx).putBack(NAME, mark.position))
          .catch((error) => {
            written.push(error);
            throw error;
          });
        return 1;
      }),
    ]);
    await one.introduce();
    await one.look();
    pass(LEASE_MS + 1);
    const other = instance([taskFor(async () => 2)], "other");
    await other.turn();
    slow.open();
    await one.settled();
    expect(written).toEqual([expect.any(TaskLost)]);
    expect(one.runs).toMatchObject([{ outcome: "LOST" }]);
    expect((await history()).map(({ outcome }) => outcome)).toEqual(["LOST", "SUCCEEDED"]);
    const [row] = await store.read((tx) => scheduledTaskRepository(tx).list());
    expect(row?.nextRunTime).toEqual(new Date(NOON.getTime() + HOUR));
  });

  test("survives a clock that was a year ahead, whatever was planned or leased by it", async () => {
    const { store, clock, instance, pass, history, row } = await scheduled(engine);
    const one = instance([taskFor(async () => 1)]);
    await one.introduce();
    pass(YEAR);
    await one.turn();
    expect((await row())?.nextRunTime.getTime()).toBeGreaterThan(clock.now.getTime());
    pass(-YEAR);
    // Planned a year ahead: an hour ahead at most from now on.
    await one.turn();
    expect((await row())?.nextRunTime).toEqual(new Date(NOON.getTime() + HOUR));
    pass(HOUR);
    await one.turn();
    expect(await history()).toHaveLength(2);
    // Leased until a year ahead, by one that died of it.
    pass(YEAR);
    const killed = createLeases({ store, timeOf: async () => clock.now, instance: "killed" });
    expect(await killed.begin(NAME, parseSchedule("PT1H"))).toBeDefined();
    pass(-YEAR);
    await one.turn();
    expect((await history()).map(({ outcome }) => outcome).sort()).toEqual(["LOST", ...Array(3).fill("SUCCEEDED")]);
  });

  test("notes why a run failed by its kind alone, and runs the task at its next time", async () => {
    const { instance, pass, history, row } = await scheduled(engine);
    let fails = true;
    const one = instance([
      taskFor(async () => {
        if (fails) throw Object.assign(new Error("disk of 192.0.2.1 full"), { code: "ENOSPC" });
        return 1;
      }),
    ]);
    await one.introduce();
    await one.turn();
    expect(await row()).toMatchObject({ lastError: "Error ENOSPC", lastCount: 0, runId: null });
    await one.turn();
    expect(await history()).toMatchObject([{ outcome: "FAILED", error: "Error ENOSPC" }]);
    fails = false;
    pass(HOUR);
    await one.turn();
    expect(await row()).toMatchObject({ lastError: "", lastCount: 1 });
  });

  test("gives back what is under way when it stops, for whoever comes next", async () => {
    const { instance, history, row } = await scheduled(engine);
    const slow = gate();
    const one = instance([
      taskFor(async (running) => {
        await slow.run(running);
        return running.store.write(async () => 1);
      }),
    ]);
    await one.introduce();
    await one.look();
    expect(await row()).toMatchObject({ leaseOwner: "one" });
    const stopped = one.stop();
    slow.open();
    await stopped;
    expect(await history()).toMatchObject([{ outcome: "FAILED", error: "TaskStopped" }]);
    expect(await row()).toMatchObject({ nextRunTime: NOON, runId: null });
    const next = instance([taskFor(async () => 5)], "next");
    await next.turn();
    expect((await history())[1]).toMatchObject({ instance: "next", outcome: "SUCCEEDED", scheduledTime: NOON });
  });

  test("takes a schedule that a new version has, and keeps what an operator decided", async () => {
    const { store, instance, row } = await scheduled(engine);
    const slow = instance([taskFor(async () => 0, NAME, "P1D")]);
    await slow.introduce();
    await slow.turn();
    await store.write((tx) => scheduledTaskRepository(tx).pause(NAME, true, new Date(NOON.getTime() + 24 * HOUR)));
    const quick = instance([taskFor(async () => 0, NAME, "PT10M")]);
    await quick.introduce();
    expect(await row()).toMatchObject({
      schedule: "PT10M",
      paused: true,
      nextRunTime: new Date(NOON.getTime() + 10 * MINUTE),
    });
  });
});

describe("a schedule", () => {
  const at = (text: string) => new Date(text);

  test("is a period, counted from the time that was due", () => {
    const { next, first, latest } = parseSchedule("PT1H30M");
    expect(first(NOON)).toEqual(NOON);
    expect(next(NOON, NOON)).toEqual(at("2026-03-01T13:30:00Z"));
    expect(next(at("2026-03-01T13:31:00Z"), NOON)).toEqual(at("2026-03-01T15:00:00Z"));
    expect(next(NOON, at("2027-03-01T12:00:00Z"))).toEqual(at("2026-03-01T13:30:00Z"));
    expect(latest(NOON)).toEqual(at("2026-03-01T13:30:00Z"));
  });

  test("is cron in UTC", () => {
    const { next, first } = parseSchedule("30 2 * * *");
    expect(first(NOON)).toEqual(at("2026-03-02T02:30:00Z"));
    expect(next(at("2026-03-02T02:30:00Z"), NOON)).toEqual(at("2026-03-03T02:30:00Z"));
  });

  test.each([
    ...["", "P", "PT", "PT0S", "hourly", "61 * * * *", "* * * *", "0 0 30 2 *"],
    ...["0 15 2 * * *", "@daily", "@reboot", "P367D", "P99999999D", "PT99999999999H"],
  ])("is not %j", (schedule) => {
    expect(() => parseSchedule(schedule).first(NOON)).toThrow();
  });
});
