import { newId } from "../core/id.ts";
import type { Rhythm } from "../core/rhythm.ts";
import type { TimeOf } from "../db/database-time.ts";
import type { Store, Tx } from "../db/store.ts";
import {
  type RunKey,
  type ScheduledTaskRow,
  scheduledTaskRepository,
  taskRunRepository,
} from "./schedule.repository.ts";
import type { TaskEnd } from "./schedule.table.ts";

/** How long a run counts as alive without a word of it. */
export const LEASE_MS = 30_000;

/** The run has lost its task to another instance, or the service stops: nothing of it may be written any more. */
export class TaskLost extends Error {
  override readonly name = "TaskLost";
}

/** A run that has begun. */
export interface Begun extends RunKey {
  readonly manual: boolean;
  readonly scheduledTime: Date;
  readonly startTime: Date;
}

/** How a run ended. */
export interface Ended {
  readonly outcome: Exclude<TaskEnd, "" | "LOST">;
  readonly count: number;
  readonly error: string;
  /** Whether it is due again at once, for whichever instance. */
  readonly again: boolean;
}

/** What leases need of the process. */
export interface LeaseOptions {
  readonly store: Store;
  readonly timeOf: TimeOf;
  /** The name of this instance. */
  readonly instance: string;
}

/** Whether nobody has spoken for a run in time. One that is good for longer than any lease is of another clock. */
const isLapsed = ({ leaseExpireTime: end }: ScheduledTaskRow, now: Date) =>
  end === null || end <= now || end.getTime() > now.getTime() + 2 * LEASE_MS;

/** Whether there is something to decide about a task. Whoever decides asks again, having touched its row. */
export function isDue(row: ScheduledTaskRow, rhythm: Rhythm, now: Date): boolean {
  if (row.runId !== null) return isLapsed(row, now);
  return !row.paused && (row.requestTime !== null || row.nextRunTime <= now || row.nextRunTime > rhythm.latest(now));
}

/**
 * Who runs a task. A run begins in the unit that takes its task and moves the next time, so of any number of instances
 * one has it. It goes on for as long as it is spoken for; then another instance takes over, under a higher fence, and
 * whatever the former still tries to write fails. Times are the database's, never an instance's own.
 */
export function createLeases({ store, timeOf, instance }: LeaseOptions) {
  const lease = (now: Date) => new Date(now.getTime() + LEASE_MS);

  /** Notes that a run is lost, and answers what it was for. */
  async function lose(tx: Tx, runId: string, now: Date) {
    const lost = await taskRunRepository(tx).find(runId);
    await taskRunRepository(tx).end({ runId, outcome: "LOST", count: 0, error: "", endTime: now });
    return lost && { scheduledTime: lost.scheduledTime, manual: lost.manual };
  }

  /** What a run would be for; undefined when the task is not due. */
  async function causeOf(tx: Tx, row: ScheduledTaskRow, now: Date) {
    const lost = row.runId === null ? undefined : await lose(tx, row.runId, now);
    if (row.paused) return undefined;
    if (lost) return lost;
    if (row.requestTime) return { scheduledTime: row.requestTime, manual: true };
    return row.nextRunTime <= now ? { scheduledTime: row.nextRunTime, manual: false } : undefined;
  }

  const begin = (name: string, rhythm: Rhythm): Promise<Begun | undefined> =>
    store.write(async (tx) => {
      const tasks = scheduledTaskRepository(tx);
      const row = await tasks.touch(name);
      const now = await timeOf(tx);
      if (!row || !isDue(row, rhythm, now)) return undefined;
      const cause = await causeOf(tx, row, now);
      if (!cause) {
        if (row.runId !== null) await tasks.drop(name);
        // Worked out under a clock that has been set back since.
        else await tasks.reschedule(name, row.schedule, rhythm.latest(now));
        return undefined;
      }
      const runId = newId();
      const nextRunTime = row.nextRunTime <= now ? rhythm.next(now, row.nextRunTime) : row.nextRunTime;
      const taken = { name, runId, leaseOwner: instance, leaseExpireTime: lease(now), nextRunTime, lastRunTime: now };
      const fence = await tasks.begin(taken);
      if (fence === undefined) throw new Error(`the task ${name} is gone`);
      const run = { runId, taskName: name, fence, instance, ...cause, startTime: now };
      await taskRunRepository(tx).insert({ ...run, outcome: "", count: 0, error: "", endTime: null });
      return { name, runId, fence, ...cause, startTime: now };
    });

  return {
    /** Takes a task that is due; undefined when there is nothing to do, or another instance was first. */
    begin,

    /** Says in a unit that the run lives, before whatever else the unit does. Throws TaskLost when it has lost its task. */
    async hold(tx: Tx, { name, fence, runId }: RunKey): Promise<void> {
      const held = await scheduledTaskRepository(tx).hold({ name, fence, runId }, lease(await timeOf(tx)));
      if (!held) throw new TaskLost(`another instance has taken over the task ${name}`);
    },

    /** Notes how a run ended and gives its task back. False when it has lost the task: then that is noted already. */
    end: (begun: Begun, { outcome, count, error, again }: Ended): Promise<boolean> =>
      store.write(async (tx) => {
        const { name, fence, runId, startTime, scheduledTime, manual } = begun;
        const tasks = scheduledTaskRepository(tx);
        const now = await timeOf(tx);
        const lastDurationMs = Math.max(0, now.getTime() - startTime.getTime());
        const ours = await tasks.end({ name, fence, runId, lastCount: count, lastError: error, lastDurationMs });
        if (!ours) return false;
        await taskRunRepository(tx).end({ runId, outcome, count, error, endTime: now });
        if (again && manual) await tasks.request(name, scheduledTime);
        else if (again) await tasks.putBack(name, scheduledTime);
        return true;
      }),
  };
}

/** Who runs which task. */
export type Leases = ReturnType<typeof createLeases>;
