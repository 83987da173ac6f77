import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaDecision, RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { recordChange } from "../audit/changes.ts";
import { factorsOf } from "../challenges/challenge-message.ts";
import { endWhatIsOpen } from "../challenges/open-things.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import { toLockStatus } from "../factors/factor-messages.ts";
import type { Strength } from "../factors/strength.ts";
import { signalOf } from "../risk/log-in-messages.ts";
import { reasonMessage } from "../risk/risk-messages.ts";
import { deviceTrustMessage } from "../trusted-devices/trusted-device-messages.ts";
import type { TrustedDevices } from "../trusted-devices/trusted-devices.ts";
import { userRepository } from "../users/users.repository.ts";
import type { createEvaluation, Evaluation } from "./evaluation.ts";

const evaluationMessage = (found: Evaluation) => ({
  decisionId: found.decisionId,
  decision: MfaDecision[found.decision],
  level: RiskLevel[found.level],
  reasons: found.reasons.map(reasonMessage),
  policyVersion: BigInt(found.policyVersion),
  strength: AuthenticationStrength[found.strength],
  factors: factorsOf(found.offers),
  enrollableTypes: found.enrollable.map(({ type }) => FactorType[type]),
  ...(found.ticket && {
    ticket: found.ticket.ticket,
    ticketExpireTime: timestampFromDate(found.ticket.expireTime),
  }),
  ...(found.trust && { deviceTrust: deviceTrustMessage(found.trust) }),
  enforced: found.enforced,
  ...(found.graceUntil && { graceUntilTime: timestampFromDate(found.graceUntil) }),
  ...(found.reportOnly && { reportOnlyDecision: MfaDecision[found.reportOnly] }),
  lock: toLockStatus(found.lockouts),
  mfaEpoch: BigInt(found.mfaEpoch),
});

/** RPCs of log-ins for backends: EvaluateMfa and RevokeUserTrust. */
export function createLogInHandlers(evaluation: ReturnType<typeof createEvaluation>, trustedDevices: TrustedDevices) {
  const internal = {
    evaluateMfa: async (request, call) => {
      const { trustToken, strength, firstFactorTime, deviceFingerprint, signals, roles, groups } = request;
      const { assertion, sessionId } = request;
      const owner = { tenantId: call.caller.tenantId, userId: request.userId };
      const found = await evaluation.evaluate(call, owner, {
        ...{
          trustToken,
          roles,
          groups,
          assertion,
          sessionId,
          fingerprint: deviceFingerprint,
          signals: signals.map(signalOf),
        },
        strength: AuthenticationStrength[strength] as Strength,
        firstFactorTime: firstFactorTime && timestampDate(firstFactorTime),
      });
      return found instanceof Refusal ? found : evaluationMessage(found);
    },

    revokeUserTrust: async ({ userId, reason }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const cancelledChallengeCount = await endWhatIsOpen(tx, owner, call.now);
        const revokedTrustedDeviceCount = await trustedDevices.deleteAllIn(tx, call, owner);
        const before = { trustedDevices: revokedTrustedDeviceCount, challenges: cancelledChallengeCount };
        const act = { owner, action: "user.trust_revoked", targetId: userId, reason, before } as const;
        await recordChange(tx, call, { ...act, type: "DEVICE_TRUST_REVOKED" });
        const mfaEpoch = BigInt(await userRepository(tx).epoch(owner));
        return {
          revokedTrustedDeviceCount,
          cancelledChallengeCount,
          mfaEpoch,
        };
      });
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}
