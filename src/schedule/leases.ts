import { newId } from "../core/id.ts";
import type { TimeOf } from "../db/database-time.ts";
import type { Store, Tx } from "../db/store.ts";
import {
  type RunKey,
  type ScheduledTaskRow,
  scheduledTaskRepository,
  taskRunRepository,
} from "./schedule.repository.ts";
import type { TaskEnd } from "./schedule.table.ts";
import type { ScheduleExpression } from "./schedule-expression.ts";

/** The lease of a run: without a renewal for this long it is lost. */
export const LEASE_MS = 30_000;

/** The run has lost its task to another instance, or the service stops: it may write nothing any more. */
export class TaskLost extends Error {
  override readonly name = "TaskLost";
}

/** A started run. */
export interface BegunRun extends RunKey {
  readonly manual: boolean;
  readonly scheduledTime: Date;
  readonly startTime: Date;
}

/** How a run ended. */
export interface Ended {
  readonly outcome: Exclude<TaskEnd, "" | "LOST">;
  readonly count: number;
  readonly error: string;
  /** Whether the task is due again at once, for any instance. */
  readonly again: boolean;
}

/** Dependencies of leases. */
export interface LeaseOptions {
  readonly store: Store;
  readonly timeOf: TimeOf;
  /** The name of this instance. */
  readonly instance: string;
}

/** Whether a lease has expired. One that ends later than any lease can was made under another clock. */
const isLapsed = ({ leaseExpireTime: end }: ScheduledTaskRow, now: Date) =>
  end === null || end <= now || end.getTime() > now.getTime() + 2 * LEASE_MS;

/** Whether a task needs a decision. The caller checks again after it has locked the row. */
export function isDue(row: ScheduledTaskRow, rhythm: ScheduleExpression, now: Date): boolean {
  if (row.runId !== null) return isLapsed(row, now);
  return !row.paused && (row.requestTime !== null || row.nextRunTime <= now || row.nextRunTime > rhythm.latest(now));
}

/**
 * Leases of tasks. A run starts in the unit that takes the task and sets its next time, so one of any number of
 * instances gets it. It lasts while its lease is renewed; then another instance takes over with a higher fencing token,
 * and writes of the former fail. Times are the database's, never an instance's own.
 */
export function createLeases({ store, timeOf, instance }: LeaseOptions) {
  const lease = (now: Date) => new Date(now.getTime() + LEASE_MS);

  /** Records that a run is lost; returns what it was for. */
  async function lose(tx: Tx, runId: string, now: Date) {
    const lost = await taskRunRepository(tx).find(runId);
    await taskRunRepository(tx).end({ runId, outcome: "LOST", count: 0, error: "", endTime: now });
    return lost && { scheduledTime: lost.scheduledTime, manual: lost.manual };
  }

  /** Returns the reason of a run; undefined when the task is not due. */
  async function causeOf(tx: Tx, row: ScheduledTaskRow, now: Date) {
    const lost = row.runId === null ? undefined : await lose(tx, row.runId, now);
    if (row.paused) return undefined;
    if (lost) return lost;
    if (row.requestTime) return { scheduledTime: row.requestTime, manual: true };
    return row.nextRunTime <= now ? { scheduledTime: row.nextRunTime, manual: false } : undefined;
  }

  const begin = (name: string, rhythm: ScheduleExpression): Promise<BegunRun | undefined> =>
    store.write(async (tx) => {
      const tasks = scheduledTaskRepository(tx);
      const row = await tasks.touch(name);
      const now = await timeOf(tx);
      if (!row || !isDue(row, rhythm, now)) return undefined;
      const cause = await causeOf(tx, row, now);
      if (!cause) {
        if (row.runId !== null) await tasks.drop(name);
        // Computed under a clock that has been set back since.
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
    end: (begun: BegunRun, { outcome, count, error, again }: Ended): Promise<boolean> =>
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
