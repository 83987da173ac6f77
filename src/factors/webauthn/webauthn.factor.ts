import type { Factor } from "../factor.ts";
import { ceremonyRepository } from "./ceremonies.repository.ts";
import { webauthnRepository } from "./webauthn.repository.ts";

/** WebAuthn as the registry of factors sees it. */
export const webauthnFactor: Factor = {
  type: "WEBAUTHN",
  counts: true,
  restricted: false,
  // Without a relying party there is no page to register from.
  isEnrollable: ({ webauthn }) => webauthn.rpIds.length > 0,
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
      deviceBound: !row.backupEligible,
      verifiesUser: row.userVerified,
    })),
  listHoldings: (tx, span) => webauthnRepository(tx).listHoldings(span),
  forget: async (tx, owner) => {
    await ceremonyRepository(tx).deleteAll(owner);
    return (await webauthnRepository(tx).deleteAll(owner)).length;
  },
  forgetOne: async (tx, owner, credentialId) =>
    (await webauthnRepository(tx).delete({ ...owner, credentialId })) ? 1 : 0,
};
