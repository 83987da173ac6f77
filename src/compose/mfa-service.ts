import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import type { Complete } from "../core/handlers.ts";
import type { FeatureHandlers } from "./features.ts";

/** Who answers which RPC of MfaService, in the order of the contract: one that is missing, doubled or misspelt does not compile. */
export const mfaService = (h: FeatureHandlers): Complete<typeof MfaService> => ({
  // Status and factors of every kind
  getMfaStatus: h.factors.user.getMfaStatus,
  listFactors: h.factors.user.listFactors,
  setPrimaryFactor: h.factors.user.setPrimaryFactor,
  deleteFactor: h.factors.user.deleteFactor,
  // TOTP: authenticator apps (RFC 6238)
  startTotpEnrollment: h.totp.user.startTotpEnrollment,
  finishTotpEnrollment: h.totp.user.finishTotpEnrollment,
  listTotpDevices: h.totp.user.listTotpDevices,
  getTotpDevice: h.totp.user.getTotpDevice,
  updateTotpDevice: h.totp.user.updateTotpDevice,
  enableTotpDevice: h.totp.user.enableTotpDevice,
  disableTotpDevice: h.totp.user.disableTotpDevice,
  revokeTotpDevice: h.totp.user.revokeTotpDevice,
  deleteTotpDevice: h.totp.user.deleteTotpDevice,
  replaceTotpDevice: h.totp.user.replaceTotpDevice,
  resyncTotpDevice: h.totp.user.resyncTotpDevice,
  verifyTotpCode: h.totp.user.verifyTotpCode,
  disableTotp: h.totp.user.disableTotp,
  // WebAuthn: passkeys and security keys
  startWebAuthnRegistration: h.webauthn.user.startWebAuthnRegistration,
  finishWebAuthnRegistration: h.webauthn.user.finishWebAuthnRegistration,
  startWebAuthnAuthentication: h.webauthn.user.startWebAuthnAuthentication,
  finishWebAuthnAuthentication: h.webauthn.user.finishWebAuthnAuthentication,
  listWebAuthnCredentials: h.webauthn.user.listWebAuthnCredentials,
  getWebAuthnCredential: h.webauthn.user.getWebAuthnCredential,
  updateWebAuthnCredential: h.webauthn.user.updateWebAuthnCredential,
  deleteWebAuthnCredential: h.webauthn.user.deleteWebAuthnCredential,
  // Backup codes
  generateBackupCodes: h.backupCodes.user.generateBackupCodes,
  confirmBackupCodes: h.backupCodes.user.confirmBackupCodes,
  listBackupCodes: h.backupCodes.user.listBackupCodes,
  getBackupCodeCount: h.backupCodes.user.getBackupCodeCount,
  verifyBackupCode: h.backupCodes.user.verifyBackupCode,
  // Codes by text message
  startSmsEnrollment: h.otp.user.startSmsEnrollment,
  finishSmsEnrollment: h.otp.user.finishSmsEnrollment,
  enableSms: h.otp.user.enableSms,
  disableSms: h.otp.user.disableSms,
  sendSmsCode: h.otp.user.sendSmsCode,
  verifySmsCode: h.otp.user.verifySmsCode,
  // Codes by e-mail
  startEmailEnrollment: h.otp.user.startEmailEnrollment,
  finishEmailEnrollment: h.otp.user.finishEmailEnrollment,
  enableEmail: h.otp.user.enableEmail,
  disableEmail: h.otp.user.disableEmail,
  sendEmailCode: h.otp.user.sendEmailCode,
  verifyEmailCode: h.otp.user.verifyEmailCode,
  // Push: devices
  startPushDeviceEnrollment: h.push.user.startPushDeviceEnrollment,
  finishPushDeviceEnrollment: h.push.user.finishPushDeviceEnrollment,
  listPushDevices: h.push.user.listPushDevices,
  updatePushDevice: h.push.user.updatePushDevice,
  revokePushDevice: h.push.user.revokePushDevice,
  rotatePushDeviceToken: h.push.user.rotatePushDeviceToken,
  getVapidPublicKey: h.push.user.getVapidPublicKey,
  // Push: challenges
  createPushChallenge: h.push.user.createPushChallenge,
  getPushChallenge: h.push.user.getPushChallenge,
  listPushChallenges: h.push.user.listPushChallenges,
  listPendingPushChallenges: h.push.user.listPendingPushChallenges,
  approvePushChallenge: h.push.user.approvePushChallenge,
  denyPushChallenge: h.push.user.denyPushChallenge,
  // Challenges and step-up
  createChallenge: h.challenges.user.createChallenge,
  getChallenge: h.challenges.user.getChallenge,
  verifyChallenge: h.challenges.user.verifyChallenge,
  resendChallenge: h.challenges.user.resendChallenge,
  cancelChallenge: h.challenges.user.cancelChallenge,
  watchChallenge: h.challenges.user.watchChallenge,
  stepUp: h.redemption.user.stepUp,
  // The hosted prompt
  getPrompt: h.prompts.user.getPrompt,
  finishPrompt: h.prompts.user.finishPrompt,
  cancelPrompt: h.prompts.user.cancelPrompt,
  // Trusted devices
  trustDevice: h.trustedDevices.user.trustDevice,
  checkDeviceTrust: h.trustedDevices.user.checkDeviceTrust,
  listTrustedDevices: h.trustedDevices.user.listTrustedDevices,
  getTrustedDevice: h.trustedDevices.user.getTrustedDevice,
  revokeTrustedDevice: h.trustedDevices.user.revokeTrustedDevice,
  revokeAllTrustedDevices: h.trustedDevices.user.revokeAllTrustedDevices,
  cleanUpTrustedDevices: h.trustedDevices.user.cleanUpTrustedDevices,
  // Device sync: an authenticator app's own encrypted backup
  syncDevice: h.deviceSync.user.syncDevice,
  listSyncedDevices: h.deviceSync.user.listSyncedDevices,
  getSyncedDevice: h.deviceSync.user.getSyncedDevice,
  deleteSyncedDevice: h.deviceSync.user.deleteSyncedDevice,
});
