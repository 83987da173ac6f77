import { type Repeating, repeat } from "../core/repeat.ts";
import type { Store } from "../db/store.ts";
import { type BegunRun, createLeases, type Ended, isDue, LEASE_MS, type LeaseOptions, TaskLost } from "./leases.ts";
import { type ScheduledTaskRow, scheduledTaskRepository } from "./schedule.repository.ts";
import type { TaskEnd } from "./schedule.table.ts";
import { parseSchedule, type ScheduleExpression } from "./schedule-expression.ts";
import type { Task } from "./task.ts";

/** The topic announced when an administrator changes a task. */
export const SCHEDULE_TOPIC = "schedule";

/** An ended run, for the log and the metrics. */
export interface EndedRun {
  readonly task: string;
  readonly outcome: Exclude<TaskEnd, "">;
  readonly count: number;
  /** The kind of failure; empty without one. */
  readonly error: string;
  readonly manual: boolean;
  readonly ms: number;
}

/** Dependencies of the scheduler. */
export interface SchedulerOptions extends LeaseOptions {
  readonly tasks: readonly Task[];
  /** `thrown` is the error of a failed run. */
  readonly onRun: (run: EndedRun, thrown?: unknown) => void;
  /** Called when the store is unavailable; due tasks are looked for again. */
  readonly onTrouble: (error: unknown) => void;
}

/** The service stops during the run. */
class TaskStopped extends Error {
  override readonly name = "TaskStopped";
}

/** The interval at which an instance looks for due tasks, beside announcements. */
const LOOK_MS = 1000;
/** The time limit of a run. */
const MAX_RUN_MS = 3600 * 1000;
const MAX_ERROR = 200;

/** The kind of a failure: its name and code, never its text, which may hold anything. */
function kindOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return "Error";
  const code = "code" in thrown && typeof thrown.code === "string" ? ` ${thrown.code}` : "";
  return `${thrown.name}${code}`.slice(0, MAX_ERROR);
}

const newRow = ({ name, schedule }: Task, rhythm: ScheduleExpression, now: Date): ScheduledTaskRow => ({
  ...{ name, schedule, paused: false, nextRunTime: rhythm.first(now), requestTime: null, fence: 0, runId: null },
  ...{ leaseOwner: "", leaseExpireTime: null, lastCount: 0, lastError: "", lastDurationMs: null, lastRunTime: null },
});

/** Has the database know the tasks, and their schedules as this version has them. */
async function introduce({ store, timeOf, tasks }: SchedulerOptions): Promise<void> {
  await store.write(async (tx) => {
    const known = scheduledTaskRepository(tx);
    const now = await timeOf(tx);
    for (const task of tasks) {
      const rhythm = parseSchedule(task.schedule);
      await known.insert(newRow(task, rhythm, now));
      const row = await known.touch(task.name);
      if (!row || row.schedule === task.schedule) continue;
      const latest = rhythm.latest(now);
      await known.reschedule(task.name, task.schedule, row.nextRunTime < latest ? row.nextRunTime : latest);
    }
    // One process at a time has a SQLite file: who runs something there is dead.
    if (store.engine === "sqlite") await known.orphan();
  });
}

/** Looks for tasks that are due and runs them, as one of any number of instances. */
export function createScheduler(options: SchedulerOptions) {
  const { store, timeOf, tasks, onRun, onTrouble } = options;
  const leases = createLeases(options);
  const underWay = new Map<string, { readonly ended: Promise<void>; readonly stop: AbortController }>();
  const known = tasks.map((task) => ({ task, rhythm: parseSchedule(task.schedule) }));
  let stopping = false;

  /** Runs what has begun, with a store that fails once the run has lost its task. */
  async function perform(task: Task, begun: BegunRun, stop: AbortController): Promise<Ended & { thrown?: unknown }> {
    const { signal } = stop;
    const startMs = performance.now();
    let heldMs = startMs;
    const write: Store["write"] = async (work, about) => {
      signal.throwIfAborted();
      const done = await store.write(async (tx) => {
        await leases.hold(tx, begun);
        return work(tx);
      }, about);
      heldMs = performance.now();
      return done;
    };
    const read: Store["read"] = async (work) => {
      signal.throwIfAborted();
      return store.read(work);
    };
    // By a clock that nobody sets: who could not speak for so long has lost its task, whatever the store says later.
    const speak = async () => {
      const now = performance.now();
      if (now - startMs > MAX_RUN_MS) stop.abort(new TaskLost("the run took too long"));
      if (now - heldMs > LEASE_MS) stop.abort(new TaskLost("the store was away for too long"));
      if (signal.aborted || now - heldMs < LEASE_MS / 4) return;
      await write(async () => {}).catch((error) => (error instanceof TaskLost ? stop.abort(error) : onTrouble(error)));
    };
    const speaking = repeat(speak, LEASE_MS / 3, onTrouble);
    try {
      const count = await task.run({ store: { ...store, read, write }, now: begun.startTime, signal });
      return { outcome: "SUCCEEDED", count, error: "", again: false };
    } catch (thrown) {
      return { outcome: "FAILED", count: 0, error: kindOf(thrown), again: stopping && signal.aborted, thrown };
    } finally {
      await speaking.stop();
    }
  }

  async function run(task: Task, begun: BegunRun, stop: AbortController): Promise<void> {
    const startMs = performance.now();
    const { thrown, ...ended } = await perform(task, begun, stop);
    const ours = await leases.end(begun, ended);
    const { outcome, count, error } = ours ? ended : ({ outcome: "LOST", count: 0, error: "" } as const);
    const ms = Math.round(performance.now() - startMs);
    onRun({ task: task.name, outcome, count, error, manual: begun.manual, ms }, thrown);
  }

  /** Begins what is due; answers when that has ended. */
  async function look(): Promise<void> {
    const { rows, now } = await store.read(async (tx) => ({
      rows: new Map((await scheduledTaskRepository(tx).list()).map((row) => [row.name, row])),
      now: await timeOf(tx),
    }));
    for (const { task, rhythm } of known) {
      const row = rows.get(task.name);
      if (!row || stopping || underWay.has(task.name) || !isDue(row, rhythm, now)) continue;
      const begun = await leases.begin(task.name, rhythm);
      if (!begun) continue;
      const stop = new AbortController();
      const ended = run(task, begun, stop)
        .catch(onTrouble)
        .finally(() => underWay.delete(task.name));
      underWay.set(task.name, { ended, stop });
    }
  }

  return {
    introduce: () => introduce(options),
    look,
    /** Waits for the runs that this instance has begun. */
    settled: async () => {
      while (underWay.size > 0) await Promise.all([...underWay.values()].map(({ ended }) => ended));
    },
    /** Begins nothing more, and ends what is under way: it is due again at once, here or elsewhere. */
    async stop(): Promise<void> {
      stopping = true;
      for (const { stop } of underWay.values()) stop.abort(new TaskStopped("the service stops"));
      await this.settled();
    },
  };
}

/**
 * Has the database know the tasks, so that whoever asks finds them. What is answered starts a scheduler, which looks every
 * second, and whenever an administrator asks.
 */
export async function openScheduler(options: SchedulerOptions & { readonly enabled: boolean }) {
  const scheduler = createScheduler(options);
  await scheduler.introduce();
  const start = (): Pick<Repeating, "stop"> => {
    if (!options.enabled) return { stop: async () => {} };
    const looking = repeat(scheduler.look, LOOK_MS, options.onTrouble);
    const deafen = options.store.listen({
      onTopic: (topic) => {
        if (topic === SCHEDULE_TOPIC) looking.wake();
      },
      onGap: looking.wake,
    });
    const stop = async () => {
      deafen();
      await looking.stop();
      await scheduler.stop();
    };
    return { stop };
  };
  return { start };
}
