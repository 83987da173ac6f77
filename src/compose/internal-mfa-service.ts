import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { Complete } from "../core/handlers.ts";
import type { FeatureHandlers } from "./features.ts";

/** Who answers which RPC of InternalMfaService, in the order of the contract: one that is missing, doubled or misspelt does not compile. */
export const internalMfaService = (h: FeatureHandlers): Complete<typeof InternalMfaService> => ({
  // Log-in: evaluation and challenges
  evaluateMfa: h.logIns.internal.evaluateMfa,
  createUserChallenge: h.challenges.internal.createUserChallenge,
  getUserChallenge: h.challenges.internal.getUserChallenge,
  verifyUserChallenge: h.challenges.internal.verifyUserChallenge,
  resendUserChallenge: h.challenges.internal.resendUserChallenge,
  cancelUserChallenge: h.challenges.internal.cancelUserChallenge,
  watchUserChallenge: h.challenges.internal.watchUserChallenge,
  redeemChallenge: h.redemption.internal.redeemChallenge,
  createPrompt: h.prompts.internal.createPrompt,
  redeemPrompt: h.prompts.internal.redeemPrompt,
  getUserPushChallenge: h.push.internal.getUserPushChallenge,
  // Assertions
  verifyAssertion: h.assertions.internal.verifyAssertion,
  getJwks: h.assertions.internal.getJwks,
  // User tokens
  issueUserToken: h.userTokens.internal.issueUserToken,
  // TOTP
  verifyUserTotpCode: h.totp.internal.verifyUserTotpCode,
  listUserTotpDevices: h.totp.internal.listUserTotpDevices,
  disableUserTotp: h.totp.internal.disableUserTotp,
  // Status and trust
  getUserMfaStatus: h.factors.internal.getUserMfaStatus,
  checkUserDeviceTrust: h.trustedDevices.internal.checkUserDeviceTrust,
  revokeUserTrust: h.logIns.internal.revokeUserTrust,
  // Import, events, erasure
  importFactors: h.imports.internal.importFactors,
  listEvents: h.events.internal.listEvents,
  watchEvents: h.events.internal.watchEvents,
  eraseUser: h.erasure.internal.eraseUser,
  // Operation
  listScheduledTasks: h.schedule.internal.listScheduledTasks,
  listInboxMessages: h.delivery.internal.listInboxMessages,
});
