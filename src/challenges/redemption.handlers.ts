import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { TrustRequest } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { assertionMessage } from "../assertions/assertion-messages.ts";
import { isByBackupCode } from "../assertions/methods.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import { trustedDeviceMessage } from "../trusted-devices/trusted-device-messages.ts";
import type { createRedemption, RedeemedWithTrust } from "./redemption.ts";
import type { createStepUp } from "./step-up.ts";
import { purposeName } from "./terms.ts";

/** Reads a request for trust. */
export const trusting = ({ displayName, clientId }: TrustRequest) => ({
  ...{ displayName, application: clientId },
  lifetimeMs: undefined,
  trustToken: "",
});

/** Makes the contract's message of a redemption. */
export const redeemedMessage = ({ redeemed, settings, trusted }: RedeemedWithTrust) => {
  const { row, issued, mfaEpoch } = redeemed;
  return {
    assertion: assertionMessage(issued),
    factorType: FactorType[row.provenType],
    factorId: row.provenFactorId,
    restrictedSession: isByBackupCode(issued.claims.amr) && settings.backupCodes.restrictSession,
    verifyTime: timestampFromDate(row.proveTime ?? row.updateTime),
    ...(trusted && { trustedDevice: trustedDeviceMessage(trusted.row, true), trustToken: trusted.trustToken }),
    mfaEpoch: BigInt(mfaEpoch),
  };
};

/** RPCs that turn proofs into assertions: RedeemChallenge for backends, StepUp for users' pages. */
export function createRedemptionHandlers(
  redemption: ReturnType<typeof createRedemption>,
  stepUp: ReturnType<typeof createStepUp>,
) {
  const user = {
    stepUp: async ({ proof, challengeId, audience, nonce, action }, call) => {
      if (proof?.kind.case === undefined) return new Refusal("INVALID_FIELD");
      const issued =
        challengeId === ""
          ? await stepUp.prove(call, proof.kind, { audience, nonce, action })
          : await stepUp.answer(call, challengeId, proof.kind);
      return issued instanceof Refusal ? issued : { assertion: assertionMessage(issued) };
    },
  } satisfies Handlers<typeof MfaService>;

  const internal = {
    redeemChallenge: async ({ userId, challengeId, sessionId, nonce, action, trust, purpose }, call) => {
      const key = { tenantId: call.caller.tenantId, userId, challengeId };
      const asked = { sessionId, nonce, action, purpose: purposeName(purpose), trust: trust && trusting(trust) };
      return redeemedMessage(await redemption.redeem(call, key, asked));
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, internal };
}
