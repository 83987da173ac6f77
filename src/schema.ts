import type { Table } from "drizzle-orm";
import { assertionKeys } from "./assertions/assertion-keys.table.ts";
import { assertions } from "./assertions/assertions.table.ts";
import { auditCheckpoints } from "./audit/audit-checkpoints.table.ts";
import { auditEntries } from "./audit/audit-entries.table.ts";
import { auditHeads } from "./audit/audit-heads.table.ts";
import { auditSubjects } from "./audit/audit-subjects.table.ts";
import { challenges } from "./challenges/challenges.table.ts";
import { dataKeys } from "./crypto/data-keys.table.ts";
import { keyChecks } from "./crypto/key-checks.table.ts";
import type { Dialect } from "./db/dialect.ts";
import { installation } from "./db/installation.table.ts";
import { syncedBlobs, syncedDevices } from "./device-sync/synced-devices.table.ts";
import { enforcementDeadlines, enforcementRules } from "./enforcement/enforcement.table.ts";
import { tickets } from "./enrollment-tickets/tickets.table.ts";
import { tombstones } from "./erasure/tombstones/tombstones.table.ts";
import { eventStreams } from "./events/event-streams.table.ts";
import { events } from "./events/events.table.ts";
import { backupCodeSets, backupCodes } from "./factors/backup-codes/backup-codes.table.ts";
import { budgets } from "./factors/otp/budgets.table.ts";
import { otpAddresses, otpChallenges, sendDecisions } from "./factors/otp/otp.table.ts";
import { pushBlocks, pushChallenges, pushDevices, vapidKeys } from "./factors/push/push.table.ts";
import { temporaryPasses } from "./factors/temporary-pass/temporary-pass.table.ts";
import { totpDevices } from "./factors/totp/totp.table.ts";
import { webauthnCeremonies, webauthnCredentials, webauthnUsers } from "./factors/webauthn/webauthn.table.ts";
import { approvals } from "./four-eyes/approvals.table.ts";
import { idempotencyKeys } from "./idempotency/keys.table.ts";
import { ipWhitelist } from "./ip-whitelist/ip-whitelist.table.ts";
import { outboxMessages } from "./outbox/outbox.table.ts";
import { prompts } from "./prompt/prompts.table.ts";
import { attempts } from "./protection/attempts.table.ts";
import { riskDecisions } from "./risk/risk-decisions.table.ts";
import { riskHistories } from "./risk/risk-histories.table.ts";
import { riskPolicies, riskPolicyVersions } from "./risk/risk-policies.table.ts";
import { scheduledTasks, taskRuns } from "./schedule/schedule.table.ts";
import { serviceKeys } from "./service-keys/service-keys.table.ts";
import { tenantSettings } from "./tenant-settings/tenant-settings.table.ts";
import { trustedDevices } from "./trusted-devices/trusted-devices.table.ts";
import { users } from "./users/users.table.ts";
import { webhookEndpoints } from "./webhooks/webhook-endpoints.table.ts";

/** Every table, one line each: for migrations, erase and export. A table that is not here does not exist. */
export const tables: readonly ((d: Dialect) => Table)[] = [
  installation,
  keyChecks,
  dataKeys,
  tenantSettings,
  users,
  attempts,
  budgets,
  idempotencyKeys,
  tickets,
  auditSubjects,
  auditHeads,
  auditEntries,
  auditCheckpoints,
  eventStreams,
  events,
  outboxMessages,
  totpDevices,
  otpAddresses,
  otpChallenges,
  sendDecisions,
  backupCodeSets,
  backupCodes,
  temporaryPasses,
  challenges,
  prompts,
  webauthnUsers,
  webauthnCredentials,
  webauthnCeremonies,
  ipWhitelist,
  riskPolicyVersions,
  riskPolicies,
  riskHistories,
  riskDecisions,
  enforcementRules,
  enforcementDeadlines,
  assertions,
  assertionKeys,
  trustedDevices,
  syncedDevices,
  syncedBlobs,
  webhookEndpoints,
  serviceKeys,
  pushDevices,
  pushChallenges,
  pushBlocks,
  vapidKeys,
  scheduledTasks,
  taskRuns,
  approvals,
  tombstones,
];
