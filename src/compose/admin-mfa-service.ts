import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { Complete } from "../core/handlers.ts";
import type { FeatureHandlers } from "./features.ts";

/** Who answers which RPC of AdminMfaService, in the order of the contract: one that is missing, doubled or misspelt does not compile. */
export const adminMfaService = (h: FeatureHandlers): Complete<typeof AdminMfaService> => ({
  // Users' factors
  listUserFactors: h.factors.admin.listUserFactors,
  getUserTotp: h.totp.admin.getUserTotp,
  listUserBackupCodeCounts: h.backupCodes.admin.listUserBackupCodeCounts,
  getUserBackupCodeCount: h.backupCodes.admin.getUserBackupCodeCount,
  listUserPushChallenges: h.push.admin.listUserPushChallenges,
  getPushStats: h.push.admin.getPushStats,
  getCoverage: h.coverage.admin.getCoverage,
  // Reset, locks and temporary passes
  resetUserMfa: h.resets.admin.resetUserMfa,
  resetUserFactor: h.resets.admin.resetUserFactor,
  listLockouts: h.lockouts.admin.listLockouts,
  clearLockout: h.lockouts.admin.clearLockout,
  issueTemporaryPass: h.temporaryPass.admin.issueTemporaryPass,
  revokeTemporaryPass: h.temporaryPass.admin.revokeTemporaryPass,
  acceptUserWebAuthnCredential: h.webauthn.admin.acceptUserWebAuthnCredential,
  listUserTrustedDevices: h.trustedDevices.admin.listUserTrustedDevices,
  revokeUserTrustedDevice: h.trustedDevices.admin.revokeUserTrustedDevice,
  exportUser: h.erasure.admin.exportUser,
  // Four eyes
  listApprovals: h.resets.admin.listApprovals,
  getApproval: h.resets.admin.getApproval,
  grantApproval: h.resets.admin.grantApproval,
  rejectApproval: h.resets.admin.rejectApproval,
  cancelApproval: h.resets.admin.cancelApproval,
  // Risk policy
  listRiskPolicies: h.risk.admin.listRiskPolicies,
  updateRiskPolicy: h.risk.admin.updateRiskPolicy,
  deleteRiskPolicy: h.risk.admin.deleteRiskPolicy,
  getMfaRiskPolicy: h.risk.admin.getMfaRiskPolicy,
  updateMfaRiskPolicy: h.risk.admin.updateMfaRiskPolicy,
  evaluateRisk: h.risk.admin.evaluateRisk,
  listRiskDecisions: h.risk.admin.listRiskDecisions,
  replayRiskDecisions: h.risk.admin.replayRiskDecisions,
  // Enforcement
  createEnforcementRule: h.enforcement.admin.createEnforcementRule,
  getEnforcementRule: h.enforcement.admin.getEnforcementRule,
  listEnforcementRules: h.enforcement.admin.listEnforcementRules,
  updateEnforcementRule: h.enforcement.admin.updateEnforcementRule,
  deleteEnforcementRule: h.enforcement.admin.deleteEnforcementRule,
  // Listed networks
  createIpWhitelistEntry: h.ipWhitelist.admin.createIpWhitelistEntry,
  getIpWhitelistEntry: h.ipWhitelist.admin.getIpWhitelistEntry,
  listIpWhitelistEntries: h.ipWhitelist.admin.listIpWhitelistEntries,
  updateIpWhitelistEntry: h.ipWhitelist.admin.updateIpWhitelistEntry,
  deleteIpWhitelistEntry: h.ipWhitelist.admin.deleteIpWhitelistEntry,
  // Audit
  listConfigAuditLogs: h.audit.admin.listConfigAuditLogs,
  verifyAuditChain: h.audit.admin.verifyAuditChain,
  repairAuditChain: h.audit.admin.repairAuditChain,
  listAuditCheckpoints: h.audit.admin.listAuditCheckpoints,
  exportAudit: h.audit.admin.exportAudit,
  // Webhooks
  createWebhookEndpoint: h.webhooks.admin.createWebhookEndpoint,
  getWebhookEndpoint: h.webhooks.admin.getWebhookEndpoint,
  listWebhookEndpoints: h.webhooks.admin.listWebhookEndpoints,
  updateWebhookEndpoint: h.webhooks.admin.updateWebhookEndpoint,
  deleteWebhookEndpoint: h.webhooks.admin.deleteWebhookEndpoint,
  rotateWebhookSecret: h.webhooks.admin.rotateWebhookSecret,
  replayWebhookEvents: h.webhooks.admin.replayWebhookEvents,
  // Service keys
  createServiceKey: h.serviceKeys.admin.createServiceKey,
  listServiceKeys: h.serviceKeys.admin.listServiceKeys,
  revokeServiceKey: h.serviceKeys.admin.revokeServiceKey,
  // Tenant settings
  getTenantSettings: h.tenantSettings.admin.getTenantSettings,
  updateTenantSettings: h.tenantSettings.admin.updateTenantSettings,
  // Schedules
  listScheduledTaskRuns: h.schedule.admin.listScheduledTaskRuns,
  runScheduledTask: h.schedule.admin.runScheduledTask,
  pauseScheduledTask: h.schedule.admin.pauseScheduledTask,
  resumeScheduledTask: h.schedule.admin.resumeScheduledTask,
});
