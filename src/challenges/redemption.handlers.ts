import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { TrustRequest } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { assertionMessage } from "../assertions/assertion-messages.ts";
import { isByBackupCode } from "../assertions/methods.ts";
import { Refusal } from "../core/refusal.ts";
import type { Handlers } from "../rpc/service.ts";
import { trustedDeviceMessage } from "../trusted-devices/trusted-device-messages.ts";
import type { createRedemption } from "./redemption.ts";
import type { createStepUp } from "./step-up.ts";

const trusting = ({ displayName, clientId }: TrustRequest) => ({
  ...{ displayName, application: clientId },
  lifetimeMs: undefined,
  trustToken: "",
});

/** Where proofs become assertions: for backends by redeeming, for users' pages by step-up. */
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
    redeemChallenge: async ({ userId, challengeId, sessionId, nonce, action, trust }, call) => {
      const key = { tenantId: call.caller.tenantId, userId, challengeId };
      const asked = { sessionId, nonce, action, trust: trust && trusting(trust) };
      const { redeemed, settings, trusted } = await redemption.redeem(call, key, asked);
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
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, internal };
}
