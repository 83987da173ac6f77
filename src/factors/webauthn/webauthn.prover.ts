import { WebAuthnRequirement } from "../../../gen/mfa/v1/webauthn_pb.js";
import { Refusal } from "../../core/refusal.ts";
import { resulting } from "../../protection/proof.ts";
import type { Prover, RequiredProof } from "../factor.ts";
import type { WebAuthn } from "./webauthn.ts";

const boundTo = ({ session, challengeId }: RequiredProof) => ({
  sessionDigest: Buffer.from(session, "base64url"),
  challengeId,
});

/** How a passkey or security key answers a challenge. */
export const webauthnProver = ({ authentication }: Pick<WebAuthn, "authentication">): Prover<"webauthn"> => ({
  answers: "webauthn",
  type: "WEBAUTHN",
  counter: "webauthn",
  signsAction: true,
  hidesAbsence: true,
  proofOf: async (call, owner, response, asked) => {
    const answer = { ...boundTo(asked), ceremonyId: "", actionDigest: asked.actionDigest, response };
    return resulting(await authentication.proofOf(call, owner, answer), (proven) => ({
      factorId: proven.credentialId,
      deviceBound: proven.deviceBound,
      userVerified: proven.userVerified,
      saysVerified: proven.saysVerified,
      alone: proven.alone,
      signedAction: proven.actionDigest !== undefined,
    }));
  },
  prepare: async (call, owner, asked) => {
    const begun = await authentication.begin(call, owner, {
      ...boundTo(asked),
      rpId: "",
      userVerification: asked.userVerification ? WebAuthnRequirement.REQUIRED : WebAuthnRequirement.UNSPECIFIED,
      actionDigest: asked.actionDigest ?? undefined,
      credentialId: asked.factorId,
    });
    if (begun instanceof Refusal) return begun;
    return async (tx) => {
      const { options } = await begun(tx);
      return { factorId: asked.factorId, preparation: { case: "webauthnOptions", value: options } };
    };
  },
  cancelled: (tx, { tenantId, userId }, challengeId) => authentication.end(tx, { tenantId, userId }, challengeId),
});
