import { assertions } from "./assertions/assertions.table.ts";
import { forgetChallenges } from "./challenges/abandoned.ts";
import { challenges } from "./challenges/challenges.table.ts";
import type { Define } from "./db/dialect.ts";
import { backupCodeSetRepository } from "./factors/backup-codes/backup-codes.repository.ts";
import { backupCodeSets } from "./factors/backup-codes/backup-codes.table.ts";
import { otpAddresses, otpChallenges, sendDecisions } from "./factors/otp/otp.table.ts";
import { pushBlocks, pushChallenges, pushDevices } from "./factors/push/push.table.ts";
import { pushDeviceRepository } from "./factors/push/push-devices.repository.ts";
import { KEPT_MS as PUSH_KEPT_MS } from "./factors/push/push-history.ts";
import { temporaryPasses } from "./factors/temporary-pass/temporary-pass.table.ts";
import { totpDevices } from "./factors/totp/totp.table.ts";
import { webauthnCeremonies } from "./factors/webauthn/webauthn.table.ts";
import { ipWhitelist } from "./ip-whitelist/ip-whitelist.table.ts";
import { outboxRepository } from "./outbox/outbox.repository.ts";
import { outboxMessages } from "./outbox/outbox.table.ts";
import { approvals } from "./privacy/approvals.table.ts";
import { attemptRepository } from "./protection/attempts.repository.ts";
import { attempts } from "./protection/attempts.table.ts";
import { budgets } from "./protection/budgets.table.ts";
import { requestIds } from "./protection/request-ids.table.ts";
import { tickets } from "./protection/tickets.table.ts";
import { riskHistories } from "./risk/risk-histories.table.ts";
import { type End, rowsOf } from "./schedule/end.ts";
import { scheduledTasks, taskRuns } from "./schedule/schedule.table.ts";
import { trustedDevices } from "./trusted-devices/trusted-devices.table.ts";
import { users } from "./users/users.table.ts";
import { webhookEndpointRepository } from "./webhooks/webhook-endpoints.repository.ts";
import { webhookEndpoints } from "./webhooks/webhook-endpoints.table.ts";

const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;

/**
 * When rows are forgotten, table by table and by the task that does it. That they have ended is found whenever they are
 * used; this is tidiness. A test looks for tables with an end that are not here.
 */
export const ends = {
  /** What is good for minutes. Kept for a while, so that who comes late hears "expired" and not "unknown". */
  expired_rows: [
    { table: challenges, keptMs: HOUR_MS, forget: forgetChallenges },
    rowsOf(otpChallenges, "expireTime", DAY_MS),
    rowsOf(webauthnCeremonies, "expireTime", HOUR_MS),
    rowsOf(assertions, "expireTime", HOUR_MS),
    rowsOf(tickets, "expireTime", HOUR_MS),
    rowsOf(requestIds, "expireTime"),
    rowsOf(temporaryPasses, "expireTime", DAY_MS),
    // Enrolments that nobody finished.
    rowsOf(totpDevices, "expireTime", HOUR_MS),
    rowsOf(otpAddresses, "expireTime"),
    rowsOf(pushDevices, "expireTime", HOUR_MS),
    {
      table: backupCodeSets,
      keptMs: HOUR_MS,
      forget: (tx, before, limit) => backupCodeSetRepository(tx).deleteExpired(before, limit),
    },
  ],
  trusted_devices: [rowsOf(trustedDevices, "expireTime")],
  outbox: [
    {
      table: outboxMessages,
      keptMs: 7 * DAY_MS,
      forget: (tx, before, limit) => outboxRepository(tx).purge(before, limit),
    },
  ],
  /** What is looked at long after it ended, or is only counted. */
  old_records: [
    rowsOf(sendDecisions, "createTime", 30 * DAY_MS),
    rowsOf(pushChallenges, "createTime", PUSH_KEPT_MS),
    rowsOf(pushBlocks, "hour", PUSH_KEPT_MS),
    rowsOf(approvals, "expireTime", 90 * DAY_MS),
    rowsOf(taskRuns, "endTime", 90 * DAY_MS),
    rowsOf(budgets, "updateTime", 2 * DAY_MS),
    rowsOf(riskHistories, "lastTime", 400 * DAY_MS),
    {
      table: pushDevices,
      keptMs: PUSH_KEPT_MS,
      forget: (tx, before, limit) => pushDeviceRepository(tx).purge(before, limit),
    },
    {
      table: attempts,
      keptMs: 2 * DAY_MS,
      forget: (tx, before, limit) => attemptRepository(tx).purge(before, limit),
    },
    {
      table: webhookEndpoints,
      keptMs: 0,
      forget: (tx, before, limit) => webhookEndpointRepository(tx).forgetOldSecrets(before, limit),
    },
  ],
} as const satisfies Record<string, readonly End[]>;

/** Tables with an end that outlasts it, each for a reason. */
export const staying: ReadonlyMap<Define, string> = new Map<Define, string>([
  [ipWhitelist, "an administrator's word: it stays listed, as expired, until somebody takes it off"],
  [users, "its end is that of a cool-down; the row dates the user's changes, and has none"],
  [scheduledTasks, "its end is that of a lease"],
]);
