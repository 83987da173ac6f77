import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { TimeOf } from "../db/database-time.ts";
import { type Position, pageOf } from "../db/page.ts";
import type { Tx } from "../db/store.ts";
import { type ScheduledTaskRow, scheduledTaskRepository, taskRunRepository } from "./schedule.repository.ts";
import type { TaskEnd } from "./schedule.table.ts";
import { parseSchedule } from "./schedule-expression.ts";
import { SCHEDULE_TOPIC } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** A task of this version with its state. */
export interface ListedTask {
  readonly task: Task;
  readonly row: ScheduledTaskRow;
}

/** The requested page of a list. */
export interface RequestedPage {
  readonly position: Position;
  readonly size: number;
}

/** Dependencies of the schedule. */
export interface ScheduleOptions {
  readonly tasks: readonly Task[];
  readonly timeOf: TimeOf;
}

/** The position of a task in a list by name; page tokens take no underscores, and names have no hyphens. */
const placeOf = ({ task }: ListedTask): Position => ({ time: new Date(0), id: task.name.replaceAll("_", "-") });

const shown = ({ paused, nextRunTime }: ScheduledTaskRow) => ({ paused, nextRunTime: nextRunTime.toISOString() });

/**
 * The scheduled tasks as operators see and steer them. They belong to the installation: a change holds for every
 * tenant.
 */
export function createSchedule({ tasks, timeOf }: ScheduleOptions) {
  const byName = new Map(tasks.map((task) => [task.name, task]));

  /** Changes a task in one unit under its lock, and records the change. */
  const decide = (
    call: Call,
    { name, verb, reason }: { name: string; verb: string; reason: string },
    change: (tx: Tx, row: ScheduledTaskRow, task: Task) => Promise<ScheduledTaskRow | Refusal | undefined>,
  ): Promise<ListedTask | Refusal> =>
    call.unit(async (tx) => {
      const task = byName.get(name);
      const row = task && (await scheduledTaskRepository(tx).touch(name));
      if (!row) return new Refusal("NOT_FOUND");
      const changed = await change(tx, row, task);
      if (changed instanceof Refusal) return changed;
      if (!changed) return { task, row };
      const owner = { tenantId: call.caller.tenantId, userId: "" };
      const states = { before: shown(row), after: shown(changed) };
      await recordAudit(tx, call, { owner, action: `scheduled_task.${verb}`, targetId: name, reason, ...states });
      tx.announce(SCHEDULE_TOPIC);
      return { task, row: changed };
    });

  return {
    /** A page of the tasks, by name. */
    async list(call: Call, { position, size }: RequestedPage) {
      const rows = await call.unit((tx) => scheduledTaskRepository(tx).list());
      const found = rows.flatMap((row) => {
        const task = byName.get(row.name);
        return task ? [{ task, row }] : [];
      });
      const sorted = found.sort((a, b) => (placeOf(a).id < placeOf(b).id ? -1 : 1));
      return pageOf(sorted, position, size, placeOf);
    },

    /** A page of a task's runs, newest first. */
    async listRuns(call: Call, wanted: { taskName: string; outcome: TaskEnd }, page: RequestedPage) {
      if (!byName.has(wanted.taskName)) return new Refusal("NOT_FOUND");
      return call.unit((tx) => taskRunRepository(tx).list(wanted, page));
    },

    /** Makes a task due at once. */
    runNow: (call: Call, name: string, reason: string) =>
      decide(call, { name, verb: "run_requested", reason }, async (tx, row) => {
        if (row.paused || row.runId !== null) return new Refusal("WRONG_STATE");
        return scheduledTaskRepository(tx).request(name, await timeOf(tx));
      }),

    /** Has a task not run until it is resumed; a run under way ends by itself. */
    pause: (call: Call, name: string, reason: string) =>
      decide(call, { name, verb: "paused", reason }, async (tx, { paused, nextRunTime }) =>
        paused ? undefined : scheduledTaskRepository(tx).pause(name, true, nextRunTime),
      ),

    /** Lets a task run again, at its next time. */
    resume: (call: Call, name: string, reason: string) =>
      decide(call, { name, verb: "resumed", reason }, async (tx, { paused, nextRunTime }, { schedule }) => {
        if (!paused) return undefined;
        const now = await timeOf(tx);
        const next = nextRunTime <= now ? parseSchedule(schedule).next(now, nextRunTime) : nextRunTime;
        return scheduledTaskRepository(tx).pause(name, false, next);
      }),
  };
}
