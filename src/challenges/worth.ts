import type { Proven } from "../factors/factor.ts";
import { factors } from "../factors/index.ts";
import { canBeWorth, type Strength } from "../factors/strength.ts";
import type { Facts, TypeName } from "./challenges.table.ts";

/** What an accepted answer was worth; what it does not say of itself, it was not. */
export const factsOf = ({
  deviceBound,
  userVerified,
  alone,
  signedAction,
}: Omit<Proven, "factorId">): Required<Facts> => ({
  deviceBound: deviceBound ?? false,
  userVerified: userVerified ?? false,
  alone: alone ?? false,
  signedAction: signedAction ?? false,
});

/** Whether proofs of a kind can be worth what is asked. */
export const canProve = (type: TypeName | "", strength: Strength): boolean =>
  factors.some((factor) => factor.type === type && canBeWorth(factor, strength));

/** Whether a proof of a kind was worth what is asked. */
export const isWorth = (type: TypeName | "", facts: Facts | null, strength: Strength): boolean =>
  canProve(type, strength) && (strength !== "DEVICE_BOUND" || (facts?.deviceBound === true && facts.userVerified));
