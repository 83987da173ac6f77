import type { DescMethod } from "@bufbuild/protobuf";
import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import { LockProfile } from "../gen/mfa/v1/tenant_settings_pb.js";
import type { KdfPool } from "./crypto/kdf-pool.ts";
import { createPageTokens } from "./crypto/page-token.ts";
import { createBackupCodeHandlers } from "./factors/backup-codes/backup-codes.handlers.ts";
import { createBackupCodes } from "./factors/backup-codes/backup-codes.ts";
import { createFactorHandlers } from "./factors/factors.handlers.ts";
import { factorSet } from "./factors/index.ts";
import { createTotpHandlers } from "./factors/totp/totp.handlers.ts";
import { createLockoutHandlers } from "./protection/lockouts.handlers.ts";
import type { Serving } from "./rpc/call.ts";
import { serve } from "./rpc/service.ts";
import { createTenantSettings } from "./tenants/tenant-settings.ts";
import { createTenantHandlers } from "./tenants/tenants.handlers.ts";

/** What the features need of the process. */
export interface App extends Omit<Serving, "lockProfileOf"> {
  /** Where costly hashes wait for their turn, so that nothing else waits for them. */
  readonly kdf: KdfPool;
  /** The name that authenticator apps show for this service, unless a tenant has another. */
  readonly totpIssuer: string;
}

/** The RPCs of the contract that no feature answers yet. They authorise like every other, then answer NOT_BUILT. */
const notBuilt = {
  user: [
    "startWebAuthnRegistration",
    "finishWebAuthnRegistration",
    "startWebAuthnAuthentication",
    "finishWebAuthnAuthentication",
    "listWebAuthnCredentials",
    "getWebAuthnCredential",
    "updateWebAuthnCredential",
    "deleteWebAuthnCredential",
    "startSmsEnrollment",
    "finishSmsEnrollment",
    "enableSms",
    "disableSms",
    "sendSmsCode",
    "verifySmsCode",
    "startEmailEnrollment",
    "finishEmailEnrollment",
    "enableEmail",
    "disableEmail",
    "sendEmailCode",
    "verifyEmailCode",
    "startPushDeviceEnrollment",
    "finishPushDeviceEnrollment",
    "listPushDevices",
    "updatePushDevice",
    "revokePushDevice",
    "rotatePushDeviceToken",
    "getVapidPublicKey",
    "createPushChallenge",
    "getPushChallenge",
    "listPushChallenges",
    "listPendingPushChallenges",
    "approvePushChallenge",
    "denyPushChallenge",
    "createChallenge",
    "getChallenge",
    "verifyChallenge",
    "resendChallenge",
    "cancelChallenge",
    "watchChallenge",
    "stepUp",
    "trustDevice",
    "checkDeviceTrust",
    "listTrustedDevices",
    "getTrustedDevice",
    "revokeTrustedDevice",
    "revokeAllTrustedDevices",
    "cleanUpTrustedDevices",
    "syncDevice",
    "listSyncedDevices",
    "getSyncedDevice",
    "deleteSyncedDevice",
  ],
  admin: [
    "listUserPushChallenges",
    "getPushStats",
    "getCoverage",
    "resetUserMfa",
    "resetUserFactor",
    "issueTemporaryPass",
    "revokeTemporaryPass",
    "exportUser",
    "listApprovals",
    "getApproval",
    "grantApproval",
    "rejectApproval",
    "cancelApproval",
    "listRiskPolicies",
    "updateRiskPolicy",
    "deleteRiskPolicy",
    "getMfaRiskPolicy",
    "updateMfaRiskPolicy",
    "evaluateRisk",
    "listRiskDecisions",
    "replayRiskDecisions",
    "createEnforcementRule",
    "getEnforcementRule",
    "listEnforcementRules",
    "updateEnforcementRule",
    "deleteEnforcementRule",
    "createIpWhitelistEntry",
    "getIpWhitelistEntry",
    "listIpWhitelistEntries",
    "updateIpWhitelistEntry",
    "deleteIpWhitelistEntry",
    "listConfigAuditLogs",
    "verifyAuditChain",
    "listAuditCheckpoints",
    "exportAudit",
    "createWebhookEndpoint",
    "getWebhookEndpoint",
    "listWebhookEndpoints",
    "updateWebhookEndpoint",
    "deleteWebhookEndpoint",
    "rotateWebhookSecret",
    "replayWebhookEvents",
    "listScheduledTaskRuns",
    "runScheduledTask",
    "pauseScheduledTask",
    "resumeScheduledTask",
  ],
  internal: [
    "evaluateMfa",
    "createUserChallenge",
    "getUserChallenge",
    "verifyUserChallenge",
    "resendUserChallenge",
    "cancelUserChallenge",
    "watchUserChallenge",
    "redeemChallenge",
    "getUserPushChallenge",
    "verifyAssertion",
    "getJwks",
    "checkUserDeviceTrust",
    "revokeUserTrust",
    "importFactors",
    "listEvents",
    "watchEvents",
    "eraseUser",
    "listScheduledTasks",
    "listInboxMessages",
  ],
} as const;

/** The RPCs that a feature answers. */
export const builtMethods: readonly DescMethod[] = [MfaService, AdminMfaService, InternalMfaService]
  .flatMap(({ methods }): readonly DescMethod[] => methods)
  .filter(({ localName }) => !Object.values(notBuilt).some((names: readonly string[]) => names.includes(localName)));

/** The whole API on one page: which feature answers which service. */
export function createServices(app: App) {
  const tenants = createTenantSettings({ store: app.store, clock: app.clock, file: { totpIssuer: app.totpIssuer } });
  const settings = createTenantHandlers(tenants);
  const { keyring, kdf, hasFactor } = app;
  const { settingsOf } = tenants;
  const lockProfileOf = async (tenantId: string) =>
    (await settingsOf(tenantId)).lockProfile === LockProfile.PCI ? "pci" : "standard";
  const serving: Serving = { ...app, lockProfileOf };
  const pageTokens = createPageTokens(keyring);
  const backupCodes = createBackupCodes({ keyring, kdf, settingsOf, hasFactor });
  const codes = createBackupCodeHandlers(backupCodes, pageTokens);
  const lockouts = createLockoutHandlers(pageTokens);
  const totp = createTotpHandlers({ keyring, settingsOf, factorSet, pageTokens });
  const factors = createFactorHandlers({ settingsOf, pageTokens });
  return [
    {
      service: MfaService,
      implementation: serve(MfaService, { ...factors.user, ...totp.user, ...codes.user }, notBuilt.user, serving),
    },
    {
      service: AdminMfaService,
      implementation: serve(
        AdminMfaService,
        { ...settings.admin, ...factors.admin, ...totp.admin, ...lockouts.admin, ...codes.admin },
        notBuilt.admin,
        serving,
      ),
    },
    {
      service: InternalMfaService,
      implementation: serve(InternalMfaService, { ...factors.internal, ...totp.internal }, notBuilt.internal, serving),
    },
  ];
}
