import type { Dialect } from "../db/dialect.ts";

/** The scheduled tasks: when each is due and which instance runs it. One row a task, for all instances and tenants. */
export const scheduledTasks = (d: Dialect) =>
  d.table("scheduled_tasks", {
    name: d.text("name").primaryKey(),
    /** The code's schedule at the last start; when it changes the next time is computed anew. */
    schedule: d.text("schedule").notNull(),
    paused: d.boolean("paused").notNull(),
    nextRunTime: d.instant("next_run_time").notNull(),
    /** When an administrator requested a run that has not started; null for none. */
    requestTime: d.instant("request_time"),
    /** The fencing token: grows with every run; the holder of an older one has lost the task. */
    fence: d.counter("fence").notNull(),
    /** The running run; null for none. */
    runId: d.text("run_id"),
    /** The instance that runs it; empty for none. */
    leaseOwner: d.text("lease_owner").notNull(),
    /** When the lease expires, unless the instance renews it. */
    leaseExpireTime: d.instant("lease_expire_time"),
    /** Outcome of the last ended run. */
    lastCount: d.counter("last_count").notNull(),
    lastError: d.text("last_error").notNull(),
    lastDurationMs: d.counter("last_duration_ms"),
    /** When the last run started. */
    lastRunTime: d.instant("last_run_time"),
  });

/** The outcome; empty while it runs. */
export type TaskEnd = "" | "SUCCEEDED" | "FAILED" | "LOST";

/** The runs of scheduled tasks. */
export const taskRuns = (d: Dialect) =>
  d.table(
    "task_runs",
    {
      runId: d.text("run_id").primaryKey(),
      taskName: d.text("task_name").notNull(),
      /** The task's fencing token at its start; unique among the runs of a task. */
      fence: d.counter("fence").notNull(),
      outcome: d.text("outcome").$type<TaskEnd>().notNull(),
      instance: d.text("instance").notNull(),
      /** Whether an administrator requested it. */
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
      d.index("task_runs_by_end").on(t.endTime),
      d.index("task_runs_by_time").on(t.taskName, t.startTime, t.runId),
    ],
  );
