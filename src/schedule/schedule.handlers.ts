import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { TaskOutcome, TaskState } from "../../gen/mfa/v1/schedule_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { TaskRunRow } from "./schedule.repository.ts";
import type { TaskEnd } from "./schedule.table.ts";
import { createSchedule, type ListedTask, type ScheduleOptions } from "./schedule.ts";

const outcomes: Readonly<Record<TaskEnd, TaskOutcome>> = {
  "": TaskOutcome.UNSPECIFIED,
  SUCCEEDED: TaskOutcome.SUCCEEDED,
  FAILED: TaskOutcome.FAILED,
  LOST: TaskOutcome.LOST,
};

const ends: Readonly<Record<TaskOutcome, TaskEnd>> = {
  [TaskOutcome.UNSPECIFIED]: "",
  [TaskOutcome.SUCCEEDED]: "SUCCEEDED",
  [TaskOutcome.FAILED]: "FAILED",
  [TaskOutcome.LOST]: "LOST",
};

const timed = (time: Date | null) => (time ? timestampFromDate(time) : undefined);

/** Omits a field without a value. */
const given = <K extends string, T>(name: K, value: T | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { [P in K]?: T };

function toProto({ task: { name, description, schedule }, row }: ListedTask) {
  const { paused, runId, requestTime, nextRunTime } = row;
  const idle = paused ? TaskState.PAUSED : TaskState.IDLE;
  return {
    ...{ name, description, schedule },
    state: runId === null ? idle : TaskState.RUNNING,
    enabled: !paused,
    lastCount: BigInt(row.lastCount),
    lastError: row.lastError,
    leaseOwner: row.leaseOwner,
    ...given("leaseExpireTime", timed(row.leaseExpireTime)),
    ...given("lastRunTime", timed(row.lastRunTime)),
    ...given("nextRunTime", timed(paused ? null : (requestTime ?? nextRunTime))),
    ...given("lastDuration", row.lastDurationMs === null ? undefined : durationFromMs(row.lastDurationMs)),
  };
}

const toRun = (row: TaskRunRow) => ({
  ...{ runId: row.runId, taskName: row.taskName, outcome: outcomes[row.outcome], instance: row.instance },
  ...{ manual: row.manual, count: BigInt(row.count), error: row.error },
  ...{ scheduledTime: timestampFromDate(row.scheduledTime), startTime: timestampFromDate(row.startTime) },
  ...given("endTime", timed(row.endTime)),
});

const reply = (listed: ListedTask | Refusal) => (listed instanceof Refusal ? listed : { task: toProto(listed) });

/** RPCs by which operators steer scheduled tasks. */
export function createScheduleHandlers({ pageTokens, ...options }: ScheduleOptions & { pageTokens: PageTokens }) {
  const schedule = createSchedule(options);

  const internal = {
    listScheduledTasks: async ({ pageSize, pageToken }, call) => {
      const page = { position: pageTokens.read(call, pageToken), size: pageSize || 50 };
      const { rows, next } = await schedule.list(call, page);
      return { tasks: rows.map(toProto), nextPageToken: pageTokens.write(call, next) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  const admin = {
    listScheduledTaskRuns: async ({ taskName, outcome, pageSize, pageToken }, call) => {
      const filter = JSON.stringify([taskName, outcome]);
      const page = { position: pageTokens.read(call, pageToken, filter), size: pageSize || 50 };
      const found = await schedule.listRuns(call, { taskName, outcome: ends[outcome] }, page);
      if (found instanceof Refusal) return found;
      return { runs: found.rows.map(toRun), nextPageToken: pageTokens.write(call, found.next, filter) };
    },

    runScheduledTask: async ({ taskName, reason }, call) => reply(await schedule.runNow(call, taskName, reason)),

    pauseScheduledTask: async ({ taskName, reason }, call) => reply(await schedule.pause(call, taskName, reason)),

    resumeScheduledTask: async ({ taskName, reason }, call) => reply(await schedule.resume(call, taskName, reason)),
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin, internal };
}
