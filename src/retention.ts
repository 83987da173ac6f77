import { assertions } from "./assertions/assertions.table.ts";
import { forgetChallenges } from "./challenges/abandoned.ts";
import { challenges } from "./challenges/challenges.table.ts";
import type { Define } from "./db/dialect.ts";
import { tickets } from "./enrollment-tickets/tickets.table.ts";
import { backupCodeSetRepository } from "./factors/backup-codes/backup-codes.repository.ts";
import { backupCodeSets } from "./factors/backup-codes/backup-codes.table.ts";
import { budgets } from "./factors/otp/budgets.table.ts";
import { otpAddresses, otpChallenges, sendDecisions } from "./factors/otp/otp.table.ts";
import { pushBlocks, pushChallenges, pushDevices } from "./factors/push/push.table.ts";
import { pushDeviceRepository } from "./factors/push/push-devices.repository.ts";
import { KEPT_MS as PUSH_KEPT_MS } from "./factors/push/push-history.ts";
import { temporaryPasses } from "./factors/temporary-pass/temporary-pass.table.ts";
import { totpDevices } from "./factors/totp/totp.table.ts";
import { webauthnCeremonies } from "./factors/webauthn/webauthn.table.ts";
import { approvals } from "./four-eyes/approvals.table.ts";
import { idempotencyKeys } from "./idempotency/keys.table.ts";
import { ipWhitelist } from "./ip-whitelist/ip-whitelist.table.ts";
import { outboxRepository } from "./outbox/outbox.repository.ts";
import { outboxMessages } from "./outbox/outbox.table.ts";
import { prompts } from "./prompt/prompts.table.ts";
import { attemptRepository } from "./protection/attempts.repository.ts";
import { attempts } from "./protection/attempts.table.ts";
import { riskHistories } from "./risk/risk-histories.table.ts";
import { expiringRows, type RetentionRule } from "./schedule/retention.ts";
import { scheduledTasks, taskRuns } from "./schedule/schedule.table.ts";
import { serviceKeys } from "./service-keys/service-keys.table.ts";
import { trustedDevices } from "./trusted-devices/trusted-devices.table.ts";
import { users } from "./users/users.table.ts";
import { webhookEndpointRepository } from "./webhooks/webhook-endpoints.repository.ts";
import { webhookEndpoints } from "./webhooks/webhook-endpoints.table.ts";

const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;

/**
 * When ended rows are deleted, table by table, by the task that does it. Expiry is enforced on use; these rules only
 * delete rows. A test finds tables with an end and without a rule.
 */
export const retention = {
  /**
   * Rows that live for minutes. They stay for a while, so that a late caller gets "expired" rather than "not found".
   */
  expired_rows: [
    { table: challenges, keptMs: HOUR_MS, deleteExpired: forgetChallenges },
    expiringRows(prompts, "expireTime", HOUR_MS),
    expiringRows(otpChallenges, "expireTime", DAY_MS),
    expiringRows(webauthnCeremonies, "expireTime", HOUR_MS),
    expiringRows(assertions, "expireTime", HOUR_MS),
    expiringRows(tickets, "expireTime", HOUR_MS),
    expiringRows(idempotencyKeys, "expireTime"),
    expiringRows(temporaryPasses, "expireTime", DAY_MS),
    // Unfinished enrollments.
    expiringRows(totpDevices, "expireTime", HOUR_MS),
    expiringRows(otpAddresses, "expireTime"),
    expiringRows(pushDevices, "expireTime", HOUR_MS),
    {
      table: backupCodeSets,
      keptMs: HOUR_MS,
      deleteExpired: (tx, before, limit) => backupCodeSetRepository(tx).deleteExpired(before, limit),
    },
  ],
  trusted_devices: [expiringRows(trustedDevices, "expireTime")],
  outbox: [
    {
      table: outboxMessages,
      keptMs: 7 * DAY_MS,
      deleteExpired: (tx, before, limit) => outboxRepository(tx).purge(before, limit),
    },
  ],
  /** Rows that are read long after their end, or only counted. */
  old_records: [
    expiringRows(sendDecisions, "createTime", 30 * DAY_MS),
    expiringRows(pushChallenges, "createTime", PUSH_KEPT_MS),
    expiringRows(pushBlocks, "hour", PUSH_KEPT_MS),
    expiringRows(approvals, "expireTime", 90 * DAY_MS),
    expiringRows(serviceKeys, "expireTime", 90 * DAY_MS),
    expiringRows(taskRuns, "endTime", 90 * DAY_MS),
    expiringRows(budgets, "updateTime", 2 * DAY_MS),
    expiringRows(riskHistories, "lastTime", 400 * DAY_MS),
    {
      table: pushDevices,
      keptMs: PUSH_KEPT_MS,
      deleteExpired: (tx, before, limit) => pushDeviceRepository(tx).purge(before, limit),
    },
    {
      table: attempts,
      keptMs: 2 * DAY_MS,
      deleteExpired: (tx, before, limit) => attemptRepository(tx).purge(before, limit),
    },
    {
      table: webhookEndpoints,
      keptMs: 0,
      deleteExpired: (tx, before, limit) => webhookEndpointRepository(tx).forgetOldSecrets(before, limit),
    },
  ],
} as const satisfies Record<string, readonly RetentionRule[]>;

/** Tables whose rows stay after their end, each with the reason. */
export const exempt: ReadonlyMap<Define, string> = new Map<Define, string>([
  [ipWhitelist, "an administrator's word: it stays listed, as expired, until somebody takes it off"],
  [users, "its end is that of a cool-down; the row dates the user's changes, and has none"],
  [scheduledTasks, "its end is that of a lease"],
]);
