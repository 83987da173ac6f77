import { and, asc, eq, isNotNull, or, sql } from "drizzle-orm";
import { whereAll, whereEquals } from "../db/conditions.ts";
import { insert, insertIfNew, type PageAsked, select, selectPage, setParams } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { scheduledTasks, type TaskEnd, taskRuns } from "./schedule.table.ts";

/** A row of the table of tasks. */
export type ScheduledTaskRow = ReturnType<typeof scheduledTasks>["$inferSelect"];
/** A run. */
export type TaskRunRow = ReturnType<typeof taskRuns>["$inferSelect"];

type Named = { name: string };
/** The key of a running run. */
export type RunKey = { readonly name: string; readonly fence: number; readonly runId: string };
type Begin = Named & Pick<ScheduledTaskRow, "runId" | "leaseOwner" | "leaseExpireTime" | "nextRunTime" | "lastRunTime">;
type End = RunKey & Pick<ScheduledTaskRow, "lastCount" | "lastError" | "lastDurationMs">;
type RunEnd = Pick<TaskRunRow, "runId" | "outcome" | "count" | "error" | "endTime">;
type Wanted = { taskName: string; outcome: TaskEnd };

const isNamed = whereEquals(scheduledTasks, "name");

/** The task's row while this run holds it. */
const isHeld = whereEquals(scheduledTasks, "name", "fence", "runId");

const hasOutcome = (s: Building<Pick<Wanted, "outcome">>) => {
  const t = s.table(taskRuns);
  const outcome = s.param("outcome", t.outcome);
  return or(sql`${outcome} = ''`, eq(t.outcome, outcome));
};

const NOBODY = { runId: null, leaseOwner: "", leaseExpireTime: null };

const newestRun = { time: "startTime", id: "runId", newestFirst: true } as const;

const statements = {
  list: statement((s: Building<Record<never, never>>) => {
    const t = s.table(scheduledTasks);
    return s.db.select().from(t).orderBy(asc(t.name));
  }),
  insert: insertIfNew(scheduledTasks),
  touch: statement((s: Building<Named>) => {
    const t = s.table(scheduledTasks);
    return s.db.update(t).set({ name: t.name }).where(isNamed(s)).returning();
  }),
  reschedule: statement((s: Building<Named & { schedule: string; nextRunTime: Date }>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({ schedule: s.param("schedule", t.schedule), nextRunTime: s.param("nextRunTime", t.nextRunTime) })
      .where(isNamed(s))
      .returning({ name: t.name });
  }),
  putBack: statement((s: Building<Named & { nextRunTime: Date }>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({ nextRunTime: s.param("nextRunTime", t.nextRunTime) })
      .where(isNamed(s))
      .returning({ name: t.name });
  }),
  request: statement((s: Building<Named & { now: Date }>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({ requestTime: s.param("now", t.requestTime) })
      .where(isNamed(s))
      .returning();
  }),
  pause: statement((s: Building<Named & { paused: boolean; nextRunTime: Date }>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({
        ...setParams(s, t, "paused", "nextRunTime"),
        requestTime: null,
      })
      .where(isNamed(s))
      .returning();
  }),
  begin: statement((s: Building<Begin>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({
        ...setParams(s, t, "runId", "leaseOwner", "leaseExpireTime", "nextRunTime", "lastRunTime"),
        fence: sql`${t.fence} + 1`,
        requestTime: null,
      })
      .where(isNamed(s))
      .returning({ fence: t.fence });
  }),
  drop: statement((s: Building<Named>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({ ...NOBODY, fence: sql`${t.fence} + 1` })
      .where(isNamed(s))
      .returning({ name: t.name });
  }),
  orphan: statement((s: Building<Record<never, never>>) => {
    const t = s.table(scheduledTasks);
    return s.db.update(t).set({ leaseExpireTime: null }).where(isNotNull(t.runId)).returning({ name: t.name });
  }),
  hold: statement((s: Building<RunKey & { leaseExpireTime: Date }>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({ leaseExpireTime: s.param("leaseExpireTime", t.leaseExpireTime) })
      .where(isHeld(s))
      .returning({ name: t.name });
  }),
  end: statement((s: Building<End>) => {
    const t = s.table(scheduledTasks);
    return s.db
      .update(t)
      .set({
        ...NOBODY,
        ...setParams(s, t, "lastCount", "lastError", "lastDurationMs"),
      })
      .where(isHeld(s))
      .returning({ name: t.name });
  }),
  insertRun: insert(taskRuns),
  findRun: select(taskRuns, whereEquals(taskRuns, "runId")),
  endRun: statement((s: Building<RunEnd>) => {
    const t = s.table(taskRuns);
    return s.db
      .update(t)
      .set({
        ...setParams(s, t, "outcome", "count", "error", "endTime"),
      })
      .where(and(eq(t.runId, s.param("runId", t.runId)), eq(t.outcome, "")))
      .returning({ runId: t.runId });
  }),
  listRuns: selectPage(taskRuns, whereAll(whereEquals(taskRuns, "taskName"), hasOutcome), newestRun),
};

/** Tasks and who runs them. A unit that decides about a task touches it first. */
export const scheduledTaskRepository = (tx: Tx) => ({
  /** All; few. */
  list: () => tx.run(statements.list, {}),
  /** Adds a task unless it is known. */
  insert: (row: ScheduledTaskRow) => tx.run(statements.insert, row),
  /** The task as it stands: from here until the unit ends nobody else decides about it. */
  touch: async (name: string) => (await tx.run(statements.touch, { name }))[0],
  reschedule: (name: string, schedule: string, nextRunTime: Date) =>
    tx.run(statements.reschedule, { name, schedule, nextRunTime }),
  /** Has it be due again at a time that was taken. */
  putBack: (name: string, nextRunTime: Date) => tx.run(statements.putBack, { name, nextRunTime }),
  request: async (name: string, now: Date) => (await tx.run(statements.request, { name, now }))[0],
  pause: async (name: string, paused: boolean, nextRunTime: Date) =>
    (await tx.run(statements.pause, { name, paused, nextRunTime }))[0],
  /** Has a run begin; answers its fence. */
  begin: async (begin: Begin) => (await tx.run(statements.begin, begin))[0]?.fence,
  /** Takes the task from a run that is lost. */
  drop: (name: string) => tx.run(statements.drop, { name }),
  /** Ends every lease at once: for a store that no other process can be working on. */
  orphan: () => tx.run(statements.orphan, {}),
  /** Says that the run lives; false when it has lost the task. */
  hold: async (run: RunKey, leaseExpireTime: Date) =>
    (await tx.run(statements.hold, { ...run, leaseExpireTime })).length === 1,
  /** Gives the task back; false when the run has lost it. */
  end: async (end: End) => (await tx.run(statements.end, end)).length === 1,
});

/** What became of runs. */
export const taskRunRepository = (tx: Tx) => ({
  insert: (row: TaskRunRow) => tx.run(statements.insertRun, row),
  find: async (runId: string) => (await tx.run(statements.findRun, { runId }))[0],
  /** Notes how a run ended, once. */
  end: (end: RunEnd) => tx.run(statements.endRun, end),
  /** A page of a task's runs, newest first; of one outcome, unless that is empty. */
  list: (wanted: Wanted, page: PageAsked) => statements.listRuns(tx, wanted, page),
});
