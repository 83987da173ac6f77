import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { FactorState, FactorType, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import type { Lockout } from "../protection/lockouts.ts";
import type { Held } from "./index.ts";
import type { KindSummary, Status } from "./status.ts";

/** The contract's Factor. */
export const toFactor = (held: Held, primary: Held | undefined) => ({
  factorId: held.factorId,
  type: FactorType[held.factor.type],
  state: FactorState[held.state],
  displayName: held.displayName,
  maskedTarget: held.maskedTarget,
  primary: held.factorId === primary?.factorId,
  restricted: held.factor.restricted,
  createTime: timestampFromDate(held.createTime),
  updateTime: timestampFromDate(held.updateTime),
  ...(held.lastUseTime && { lastUseTime: timestampFromDate(held.lastUseTime) }),
});

const toSummary = ({ factor, activeCount, pending, primary, maskedTargets, lastUseTime }: KindSummary) => ({
  type: FactorType[factor.type],
  enabled: activeCount > 0,
  activeCount,
  pending,
  primary,
  maskedTargets: [...maskedTargets],
  ...(lastUseTime && { lastUseTime: timestampFromDate(lastUseTime) }),
});

/** The contract's LockStatus. */
export function toLockStatus(lockouts: readonly Lockout[]) {
  const codes = lockouts.find(({ counter }) => counter === "typed-code");
  const webauthn = lockouts.find(({ counter }) => counter === "webauthn");
  return {
    codesLocked: codes !== undefined,
    ...(codes?.unlockTime && { codesUnlockTime: timestampFromDate(codes.unlockTime) }),
    needsClearing: lockouts.some(({ unlockTime }) => unlockTime === undefined),
    webauthnLocked: webauthn !== undefined,
    ...(webauthn?.unlockTime && { webauthnUnlockTime: timestampFromDate(webauthn.unlockTime) }),
  };
}

/** The contract's MfaStatus; with a `type`, its kinds are only that one. */
export const toMfaStatus = (status: Status, type = FactorType.UNSPECIFIED) => ({
  enrolled: status.enrolled,
  factors: status.kinds
    .filter(({ factor }) => type === FactorType.UNSPECIFIED || FactorType[factor.type] === type)
    .map(toSummary),
  enrollableTypes: status.enrollable.map((factor) => FactorType[factor.type]),
  primaryFactorType: status.primary ? FactorType[status.primary.factor.type] : FactorType.UNSPECIFIED,
  enforced: status.rules.enforced,
  ...(status.rules.graceUntil && { graceUntilTime: timestampFromDate(status.rules.graceUntil) }),
  lock: toLockStatus(status.lockouts),
  trustedDeviceCount: status.trustedDevices,
  ...Object.assign({}, ...status.kinds.map((kind) => kind.factor.statusFields?.(kind))),
  mfaEpoch: BigInt(status.mfaEpoch),
  recommendations: status.recommendations.map((name) => Recommendation[name]),
});
