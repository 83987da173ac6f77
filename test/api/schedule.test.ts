import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { TaskOutcome, TaskState } from "../../gen/mfa/v1/schedule_pb.js";
import { loadConfig } from "../../src/config/config.ts";
import { totpDevices } from "../../src/factors/totp/totp.table.ts";
import { scheduledTasks } from "../../src/schedule/schedule.table.ts";
import { startServer } from "../../src/server.ts";
import { showCode } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines, openForTest } from "../support/engine/engines.ts";
import { portOf } from "../support/engine/port.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { gate, instanceOn, taskFor } from "../support/worlds/schedule.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const HOUR = 3600 * 1000;
const NAME = "event_retention";

async function operated(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  const scope = "mfa.audit.read mfa.schedule.read mfa.schedule.write";
  const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
  const admin = () => service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
  const names = async () => {
    const { tasks } = await service.internal.listScheduledTasks({}, await service.backend("mfa.schedule.read"));
    return tasks;
  };
  return {
    ...service,
    root,
    list: names,
    task: async () => (await names()).find(({ name }) => name === NAME),
    runs: async (request: object = {}) =>
      service.admin.listScheduledTaskRuns({ taskName: NAME, ...request }, await admin()),
    run: async (reason = "", taskName = NAME) => service.admin.runScheduledTask({ taskName, reason }, await admin()),
    pause: async (reason = "", taskName = NAME) =>
      service.admin.pauseScheduledTask({ taskName, reason }, await admin()),
    resume: async (reason = "", taskName = NAME) =>
      service.admin.resumeScheduledTask({ taskName, reason }, await admin()),
    audit: async () => {
      const filter = { module: "scheduled_task" };
      const { entries } = await service.admin.listConfigAuditLogs({ filter }, await admin());
      return entries.map(({ action, targetId, reason }) => [action, targetId, reason]);
    },
  };
}

describe.each(engines)("scheduled tasks on $name", (engine) => {
  test("are listed with what they do, when they run, how it went, and who runs them", async () => {
    const service = await operated(engine);
    const waiting = await service.task();
    expect(waiting).toMatchObject({
      schedule: "PT1H",
      description: expect.stringMatching(/\.$/),
      state: TaskState.IDLE,
      enabled: true,
      lastCount: 0n,
      lastError: "",
      leaseOwner: "",
    });
    expect(waiting?.lastRunTime).toBeUndefined();
    expect(waiting?.nextRunTime && timestampDate(waiting.nextRunTime)).toEqual(service.clock.now);

    const slow = gate(42);
    const one = instanceOn(service.store, service.clock, [taskFor(slow.run)]);
    await one.look();
    const running = await service.task();
    expect(running).toMatchObject({ state: TaskState.RUNNING, leaseOwner: "one" });
    expect(running?.leaseExpireTime && timestampDate(running.leaseExpireTime) > service.clock.now).toBe(true);
    service.pass(1500);
    slow.open();
    await one.settled();
    const done = await service.task();
    expect(done).toMatchObject({ state: TaskState.IDLE, lastCount: 42n, leaseOwner: "" });
    expect(done?.lastDuration).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
    expect(done?.leaseExpireTime).toBeUndefined();
    const { runs } = await service.runs();
    expect(runs).toMatchObject([
      { taskName: NAME, outcome: TaskOutcome.SUCCEEDED, instance: "one", manual: false, count: 42n, error: "" },
    ]);
  });

  test("are known before a listener opens, so that nobody asks too early", async () => {
    const opened = await openForTest(engine);
    const port = await portOf(createServer());
    const dataDir = await mkdtemp(join(tmpdir(), "mfa-schedule-"));
    onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
    const config = loadConfig(["--dev"], { MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: opened.url });
    const started = startServer(
      { ...config, listeners: [{ kind: "grpc", host: "127.0.0.1", port }] },
      { log: pino({ level: "silent" }), store: opened.store },
    );
    await expect(started).rejects.toThrow("EADDRINUSE");
    const store = await engine.reopen(opened);
    onTestFinished(() => store.close());
    expect((await rowsIn(store, scheduledTasks)).map(({ name }) => name)).toContain("assertion_keys");
  });

  test("run at once when an administrator asks, once however many ask, and then at their own time", async () => {
    const service = await operated(engine);
    let count = 0;
    const one = instanceOn(service.store, service.clock, [taskFor(async () => ++count)]);
    await one.turn();
    service.pass(60_000);
    await one.turn();
    expect(count).toBe(1);
    const asked = await Promise.all(Array.from({ length: 5 }, () => service.run("after the incident")));
    expect(asked.map(({ task }) => task?.state)).toEqual(Array(5).fill(TaskState.IDLE));
    expect(asked[0]?.task?.nextRunTime && timestampDate(asked[0].task.nextRunTime)).toEqual(service.clock.now);
    await one.turn();
    await one.turn();
    expect(count).toBe(2);
    const { runs } = await service.runs();
    expect(runs.map(({ manual }) => manual)).toEqual([true, false]);
    for (const { runId } of runs) expect(runId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    service.pass(HOUR - 60_000);
    await one.turn();
    expect(count).toBe(3);
    expect((await service.audit())[0]).toEqual(["scheduled_task.run_requested", NAME, "after the incident"]);
  });

  test("are not made due while they run or are paused", async () => {
    const service = await operated(engine);
    const slow = gate();
    const one = instanceOn(service.store, service.clock, [taskFor(slow.run)]);
    await one.look();
    expect((await failure(service.run())).reason).toBe("WRONG_STATE");
    slow.open();
    await one.settled();
    await service.pause();
    expect((await failure(service.run())).reason).toBe("WRONG_STATE");
    expect(await service.audit()).toEqual([["scheduled_task.paused", NAME, ""]]);
  });

  test("do not run while they are paused, and go on at their next time when they are resumed", async () => {
    const service = await operated(engine);
    let count = 0;
    const one = instanceOn(service.store, service.clock, [taskFor(async () => ++count)]);
    const many = await tally(Array.from({ length: 4 }, () => service.pause("a migration")));
    expect(many).toEqual({ OK: 4 });
    const paused = await service.task();
    expect(paused).toMatchObject({ state: TaskState.PAUSED, enabled: false });
    expect(paused?.nextRunTime).toBeUndefined();
    service.pass(3 * HOUR + 1);
    await one.turn();
    expect(count).toBe(0);
    const { task } = await service.resume("done");
    expect(task).toMatchObject({ state: TaskState.IDLE, enabled: true });
    expect(task?.nextRunTime && timestampDate(task.nextRunTime)).toEqual(
      new Date(service.clock.now.getTime() + HOUR - 1),
    );
    await service.resume("again");
    await one.turn();
    expect(count).toBe(0);
    service.pass(HOUR);
    await one.turn();
    expect(count).toBe(1);
    // What changed nothing is not told.
    expect(await service.audit()).toEqual([
      ["scheduled_task.resumed", NAME, "done"],
      ["scheduled_task.paused", NAME, "a migration"],
    ]);
  });

  test("keep nothing alive by being paused: what has expired is refused at use", async () => {
    const service = await operated(engine);
    await service.pause("a migration", "expired_rows");
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    service.pass(HOUR);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    expect(await rowsIn(service.store, totpDevices)).toHaveLength(1);
    const late = failure(service.mfa.finishTotpEnrollment({ code }, await service.user("ann")));
    expect((await late).reason).toBe("ENROLLMENT_EXPIRED");
  });

  test("let a run under way end when they are paused", async () => {
    const service = await operated(engine);
    const slow = gate();
    const one = instanceOn(service.store, service.clock, [taskFor(slow.run)]);
    await one.look();
    const { task } = await service.pause();
    expect(task).toMatchObject({ state: TaskState.RUNNING, enabled: false });
    slow.open();
    await one.settled();
    expect(one.runs).toMatchObject([{ outcome: "SUCCEEDED" }]);
    expect((await service.task())?.state).toBe(TaskState.PAUSED);
  });

  test("have their lost runs noted while they are paused, and are not taken over", async () => {
    const service = await operated(engine);
    const slow = gate();
    const killed = instanceOn(service.store, service.clock, [taskFor(slow.run)], "killed");
    await killed.look();
    await service.pause();
    service.pass(31_000);
    let count = 0;
    const one = instanceOn(service.store, service.clock, [taskFor(async () => ++count)]);
    await one.turn();
    expect(count).toBe(0);
    const { runs } = await service.runs();
    expect(runs).toMatchObject([{ outcome: TaskOutcome.LOST, instance: "killed" }]);
    expect(await service.task()).toMatchObject({ state: TaskState.PAUSED, leaseOwner: "" });
    slow.open();
    await killed.settled();
  });

  test("are read page by page, and their runs by how they ended", async () => {
    const service = await operated(engine);
    const backend = await service.backend("mfa.schedule.read");
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await service.internal.listScheduledTasks({ pageSize: 2, pageToken }, backend);
      seen.push(...page.tasks.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken);
    expect(seen).toEqual((await service.list()).map(({ name }) => name));
    expect(seen).toEqual([...new Set(seen)].sort());

    let count = 0;
    const one = instanceOn(service.store, service.clock, [
      taskFor(async () => {
        count += 1;
        if (count % 2 === 0) throw new Error("no");
        return count;
      }),
    ]);
    for (let n = 0; n < 5; n += 1) {
      await one.turn();
      service.pass(HOUR);
    }
    const first = await service.runs({ pageSize: 3 });
    const second = await service.runs({ pageSize: 3, pageToken: first.nextPageToken });
    expect([...first.runs, ...second.runs].map((run) => Number(run.count))).toEqual([5, 0, 3, 0, 1]);
    expect(second.nextPageToken).toBe("");
    const { runs: failed } = await service.runs({ outcome: TaskOutcome.FAILED });
    expect(failed.map(({ error }) => error)).toEqual(["Error", "Error"]);
    const stolen = service.runs({ pageSize: 3, pageToken: first.nextPageToken, outcome: TaskOutcome.FAILED });
    expect((await failure(stolen)).reason).toBe("INVALID_PAGE_TOKEN");
  });

  test("that there are none of are not found, and a name that is none is refused by its field", async () => {
    const service = await operated(engine);
    const calls = [
      (name: string) => service.run("", name),
      (name: string) => service.pause("", name),
      (name: string) => service.resume("", name),
      (taskName: string) => service.runs({ taskName }),
    ];
    for (const call of calls) {
      expect((await failure(call("no_such_task"))).reason).toBe("NOT_FOUND");
      expect((await failure(call("No Task"))).reason).toBe("INVALID_FIELD");
    }
    const reader = await service.mint({ audience: "mfa-admin", subject: "ro", acr: "aal2", scope: "mfa.read" });
    const refused = [
      service.admin.runScheduledTask({ taskName: NAME }, reader),
      // Of runs, too: they name instances, and are every tenant's.
      service.admin.listScheduledTaskRuns({ taskName: NAME }, reader),
    ];
    expect(await tally(refused)).toEqual({ ACCESS_DENIED: 2 });
  });

  test("run by themselves in a service, leave a line in the log and are counted, and are woken by a request", async () => {
    const service = await serviceForTest(engine, { schedule: true });
    const ran = async (count: number) => {
      const metrics = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
      const wanted = new RegExp(`^mfa_task_runs_total\\{task="${NAME}",outcome="SUCCEEDED"\\} ${count}$`, "m");
      while (!wanted.test(await metrics())) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await ran(1);
    const scope = "mfa.schedule.write";
    const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    await service.admin.runScheduledTask({ taskName: NAME, reason: "now" }, root);
    await ran(2);
    const lines = service.log.map((line) => JSON.parse(line)).filter(({ task }) => task === NAME);
    expect(lines).toMatchObject([
      { msg: "a scheduled task ran", outcome: "SUCCEEDED", manual: false, count: 0 },
      { msg: "a scheduled task ran", outcome: "SUCCEEDED", manual: true, count: 0 },
    ]);
  });
});
