import type { Dialect } from "../db/dialect.ts";

/** When each task of the service's own upkeep is due, and who runs it. One row a task, for all instances and tenants. */
export const scheduledTasks = (d: Dialect) =>
  d.table("scheduled_tasks", {
    name: d.text("name").primaryKey(),
    /** As the code had it at the last start: with another one the next time is worked out anew. */
    schedule: d.text("schedule").notNull(),
    paused: d.boolean("paused").notNull(),
    nextRunTime: d.instant("next_run_time").notNull(),
    /** When an administrator asked for a run that has not begun; null for none. */
    requestTime: d.instant("request_time"),
    /** Grows with every run that begins: whoever holds an older one has lost the task. */
    fence: d.counter("fence").notNull(),
    /** The run under way; null for none. */
    runId: d.text("run_id"),
    /** The instance that runs it; empty for none. */
    leaseOwner: d.text("lease_owner").notNull(),
    /** When the run counts as lost, unless its instance says until then that it lives. */
    leaseExpireTime: d.instant("lease_expire_time"),
    /** Of the last run that ended. */
    lastCount: d.counter("last_count").notNull(),
    lastError: d.text("last_error").notNull(),
    lastDurationMs: d.counter("last_duration_ms"),
    /** When a run last began. */
    lastRunTime: d.instant("last_run_time"),
  });

/** How a run ended: empty while it has not. */
export type TaskEnd = "" | "SUCCEEDED" | "FAILED" | "LOST";

/** The runs of these tasks. */
export const taskRuns = (d: Dialect) =>
  d.table(
    "task_runs",
    {
      runId: d.text("run_id").primaryKey(),
      taskName: d.text("task_name").notNull(),
      /** The task's fence when it began; no two runs of a task have the same. */
      fence: d.counter("fence").notNull(),
      outcome: d.text("outcome").$type<TaskEnd>().notNull(),
      instance: d.text("instance").notNull(),
      /** Whether an administrator asked for it. */
      manual: d.boolean("manual").notNull(),
      count: d.counter("count").notNull(),
      /** The kind of failure, never its text. */
      error: d.text("error").notNull(),
      scheduledTime: d.instant("scheduled_time").notNull(),
      startTime: d.instant("start_time").notNull(),
      endTime: d.instant("end_time"),
    },
    (t) => [
      d.uniqueIndex("task_runs_by_fence").on(t.taskName, t.fence),
      d.index("task_runs_by_time").on(t.taskName, t.startTime, t.runId),
    ],
  );
