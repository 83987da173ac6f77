import { WebAuthnRequirement } from "../../../gen/mfa/v1/webauthn_pb.js";
import { HARDWARE_KEY, ownMethod, SOFTWARE_KEY, USER_VERIFIED } from "../amr.ts";
import type { Factor } from "../factor.ts";
import { ceremonyRepository } from "./ceremonies.repository.ts";
import { forgottenSignals } from "./credentials.ts";
import { refusedBy } from "./standing-terms.ts";
import { webauthnRepository } from "./webauthn.repository.ts";

const METHOD = ownMethod("webauthn");
const PASSKEY_ALONE = ownMethod("passkey-alone");

/** WebAuthn as the registry of factors sees it. */
export const webauthnFactor: Factor<"WEBAUTHN"> = {
  type: "WEBAUTHN",
  word: "passkey or security key",
  receiptKind: "webauthn_credentials",
  amr: {
    own: METHOD,
    of: ({ deviceBound, userVerified, alone }) => [
      deviceBound ? HARDWARE_KEY : SOFTWARE_KEY,
      "user",
      METHOD,
      ...(userVerified ? [USER_VERIFIED] : []),
      ...(userVerified && alone ? [PASSKEY_ALONE] : []),
    ],
  },
  consumed: false,
  recovers: false,
  phishingResistant: true,
  canBeDeviceBound: true,
  channels: [],
  counts: true,
  restricted: false,
  // Without a relying party there is no page to register from.
  isOn: ({ webauthn }) => webauthn.rpIds.length > 0,
  isEnrollable: ({ webauthn }) => webauthn.rpIds.length > 0,
  limitOf: ({ webauthn }) => webauthn.maxCredentials,
  isEnrolled: async (tx, owner) => (await webauthnRepository(tx).listAll(owner)).length > 0,
  list: async (tx, owner) =>
    (await webauthnRepository(tx).listAll(owner)).map((row) => ({
      factorId: row.credentialId,
      state: "ACTIVE",
      displayName: row.displayName,
      maskedTarget: "",
      createTime: row.createTime,
      updateTime: row.updateTime,
      lastUseTime: row.lastUseTime,
      ...(row.cloneWarning && { recommendation: "REVIEW_CLONE_WARNING" }),
      ...(row.eligibilityChanged && { recommendation: "REVIEW_BACKUP_ELIGIBILITY" }),
      // What is not known yet is not taken for bound.
      deviceBound: !row.backupEligible && row.backupKnown !== false,
      verifiesUser: row.userVerified,
      refusedBy: (settings) => refusedBy(row, settings),
    })),
  listHoldings: async (tx, span) =>
    (await webauthnRepository(tx).listHoldings(span)).map((row) => ({
      userId: row.userId,
      deviceBound: !row.backupEligible,
      refusedBy: (settings) => refusedBy(row, settings),
    })),
  recommend: ({ has, enrollable }) => (enrollable && !has ? "ADD_PASSKEY" : undefined),
  gapOf: ({ has }) => (has ? undefined : "NOT_PHISHING_RESISTANT"),
  stillAccepts: ({ saysVerified, userVerified = false }, { webauthn }) =>
    webauthn.userVerification !== WebAuthnRequirement.REQUIRED || (saysVerified ?? userVerified),
  signalsOfForgetting: forgottenSignals,
  endPending: async (tx, owner) => {
    await ceremonyRepository(tx).deleteAll(owner);
  },
  forget: async (tx, owner) => {
    await ceremonyRepository(tx).deleteAll(owner);
    return (await webauthnRepository(tx).deleteAll(owner)).length;
  },
  forgetOne: async (tx, owner, credentialId) =>
    (await webauthnRepository(tx).delete({ ...owner, credentialId })) ? 1 : 0,
};
