import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { type Running, start } from "../interop/process.ts";
import { engines } from "../support/engine/engines.ts";
import { isFull } from "../support/engine/races.ts";

const ROUNDS = isFull ? 40 : 2;
const KILLS = isFull ? 5 : 1;
/** A lease takes half a minute to lapse. */
const timeout = 60_000 + ROUNDS * 5_000 + KILLS * 90_000;
const [, postgres] = engines as [unknown, (typeof engines)[number]];

interface Run {
  readonly task_name: string;
  readonly instance: string;
  readonly outcome: string;
}

/** Instances of the service in processes of their own, on one PostgreSQL, and what a test sees of them there. */
async function instances(count: number) {
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-instances-"));
  const opened = await postgres.open();
  await opened.store.close();
  const client = new pg.Client({ connectionString: opened.url });
  await client.connect();
  const running: Running[] = [];
  onTestFinished(async () => {
    for (const { child } of running) child.kill("SIGKILL");
    await Promise.all(running.map(({ outcome }) => outcome));
    await client.end();
    await opened.remove();
    await rm(dataDir, { recursive: true, force: true });
  });
  const begin = async () => {
    const preload = ["--import", "./test/faults/jumping-clock.mjs"];
    const service = start(process.execPath, [...preload, "src/main.ts", "--dev"], {
      ...{ MFA_PORT: "0", MFA_GATEWAY_PORT: "0", MFA_ADMIN_PORT: "0", MFA_INTERNAL_PORT: "0", MFA_HOST: "127.0.0.1" },
      ...{ MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: opened.url, MFA_KEY_FILE: "", MFA_CONFIG: "" },
    });
    running.push(service);
    await service.saw(/ready on/);
    return service;
  };
  for (let n = 0; n < count; n += 1) await begin();

  const rows = async <R extends object>(sql: string, values: unknown[] = []) =>
    (await client.query<R & pg.QueryResultRow>(sql, values)).rows;
  /** Asks again until there is an answer. */
  const until = async <R extends object>(sql: string, values: unknown[], isIt: (found: R[]) => boolean) => {
    for (;;) {
      const found = await rows<R>(sql, values);
      if (isIt(found)) return found;
      await sleep(20);
    }
  };
  const idle = () => until<{ n: string }>("SELECT count(run_id) n FROM scheduled_tasks", [], ([row]) => row?.n === "0");

  return {
    running,
    begin,
    rows,
    until,
    url: opened.url,
    /** The process that an instance is. */
    processOf: (instance: string) => {
      const found = running.find(({ child }) => instance.includes(`-${child.pid}-`));
      if (!found) throw new Error(`no process is ${instance}`);
      return found;
    },
    /** Has every task, or one, be due now; answers the time and the tasks. */
    due: async (name?: string) => {
      await idle();
      const [row] = await rows<{ now: Date }>("SELECT date_trunc('milliseconds', clock_timestamp()) AS now");
      const set = "UPDATE scheduled_tasks SET next_run_time = $1 WHERE name = coalesce($2, name) RETURNING name";
      const names = (await rows<{ name: string }>(set, [row?.now, name ?? null])).map((found) => found.name).sort();
      return { time: row?.now, names };
    },
    /** Waits until the tasks that were due then have run. */
    done: async ({ time, names }: { time: Date | undefined; names: readonly string[] }) => {
      const runs =
        "SELECT task_name, instance, outcome FROM task_runs WHERE scheduled_time = $1 ORDER BY task_name, fence";
      return until<Run>(runs, [time], (found) =>
        names.every((name) => found.some((run) => run.task_name === name && run.outcome === "SUCCEEDED")),
      );
    },
    /** Trusted devices whose time ends so many milliseconds from now. */
    devices: (prefix: string, ends: string) =>
      rows(
        `INSERT INTO trusted_devices SELECT 'dev', 'ann', $1::text || n, decode(md5($1::text || n), 'hex'), 0, '\\x00', NULL,
           now(), '', '', '', '', 0, now(), now(), clock_timestamp() + $2::interval FROM generate_series(1, 300) n`,
        [prefix, ends],
      ),
    devicesLeft: async (prefix: string) =>
      Number(
        (
          await rows<{ n: string }>("SELECT count(*) n FROM trusted_devices WHERE trusted_device_id LIKE $1", [
            `${prefix}%`,
          ])
        )[0]?.n,
      ),
  };
}

type Instances = Awaited<ReturnType<typeof instances>>;

/** Has the sweep of trusted devices begin, and wait amid it for a row that the test holds. */
async function midway({ rows, url, devices, due, until }: Instances) {
  await devices("old-", "-1 hour");
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query("BEGIN");
  await holder.query("SELECT 1 FROM trusted_devices WHERE trusted_device_id LIKE 'old-%' FOR UPDATE");
  const moment = await due("trusted_devices");
  await until<object>(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'delete%'",
    [],
    (found) => found.length > 0,
  );
  const [run] = await rows<{ owner: string }>(
    "SELECT lease_owner AS owner FROM scheduled_tasks WHERE name = 'trusted_devices'",
  );
  return { moment, owner: run?.owner ?? "", release: () => holder.end() };
}

test(`of two instances one runs each task, once for each of ${ROUNDS} due times`, { timeout }, async () => {
  const two = await instances(2);
  const counts = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const moment = await two.due();
    const runs = await two.done(moment);
    expect(runs.map((run) => run.task_name)).toEqual(moment.names);
    for (const { instance } of runs) counts.set(instance, (counts.get(instance) ?? 0) + 1);
  }
  for (const { child } of two.running) child.kill("SIGTERM");
  const logs = await Promise.all(two.running.map(async ({ outcome }) => (await outcome).stderr));
  const lines = logs.flatMap((text) => text.split("\n").filter((line) => line.includes("a scheduled task ran")));
  const [all] = await two.rows<{ n: string }>("SELECT count(*) n FROM task_runs");
  expect(lines.length).toBe(Number(all?.n));
  expect(lines.map((line) => JSON.parse(line).outcome)).toEqual(lines.map(() => "SUCCEEDED"));
  expect([...counts.values()].reduce((a, b) => a + b, 0)).toBeGreaterThan(ROUNDS);
});

test(`a run whose instance is killed in the middle is noted as lost and done once by the other, ${KILLS} times`, {
  timeout,
}, async () => {
  const two = await instances(2);
  for (let kill = 0; kill < KILLS; kill += 1) {
    const { moment, owner, release } = await midway(two);
    const killed = two.processOf(owner);
    killed.child.kill("SIGKILL");
    await killed.outcome;
    await release();
    const runs = await two.done(moment);
    expect(runs.map(({ outcome }) => outcome)).toEqual(["LOST", "SUCCEEDED"]);
    expect(runs.map(({ instance }) => instance === owner)).toEqual([true, false]);
    expect(await two.devicesLeft("old-")).toBe(0);
    await two.begin();
  }
});

test("a run whose instance slept through its lease writes nothing when it wakes", { timeout }, async () => {
  const two = await instances(2);
  await two.devices("good-", "1 hour");
  const { moment, owner, release } = await midway(two);
  const sleeper = two.processOf(owner);
  sleeper.child.kill("SIGSTOP");
  await release();
  const runs = await two.done(moment);
  expect(runs.map(({ outcome }) => outcome)).toEqual(["LOST", "SUCCEEDED"]);
  const before = await two.rows("SELECT * FROM task_runs WHERE task_name = 'trusted_devices' ORDER BY fence");
  sleeper.child.kill("SIGCONT");
  sleeper.child.kill("SIGTERM");
  expect((await sleeper.outcome).stderr).toMatch(/"task":"trusted_devices","outcome":"LOST"/);
  expect(await two.rows("SELECT * FROM task_runs WHERE task_name = 'trusted_devices' ORDER BY fence")).toEqual(before);
  expect(await two.devicesLeft("good-")).toBe(300);
});

test("an instance whose clock jumps by a year, there and back, runs nothing twice and forgets nothing that is good", {
  timeout,
}, async () => {
  const two = await instances(2);
  const [jumper, other] = two.running as [Running, Running];
  await two.devices("good-", "1 hour");
  const check = async () => {
    const moment = await two.due();
    const runs = await two.done(moment);
    expect(runs.map((run) => run.task_name)).toEqual(moment.names);
    return runs.map(({ instance }) => instance);
  };
  await check();
  jumper.child.kill("SIGUSR2");
  await jumper.saw(/the clock is [1-9]\d+ ms ahead/);
  await check();
  // Alone, it runs what is due, and plans the next time by the database's clock.
  other.child.kill("SIGSTOP");
  const alone = await check();
  expect(new Set(alone.map((instance) => two.processOf(instance)))).toEqual(new Set([jumper]));
  other.child.kill("SIGCONT");
  const [latest] = await two.rows<{ far: boolean }>(
    "SELECT max(next_run_time) > clock_timestamp() + interval '100 days' AS far FROM scheduled_tasks",
  );
  expect(latest?.far).toBe(false);
  expect(await two.devicesLeft("good-")).toBe(300);
  jumper.child.kill("SIGUSR2");
  await jumper.saw(/the clock is 0 ms ahead/);
  await check();
  expect(await two.devicesLeft("good-")).toBe(300);
});
