import type { AcceptedProof } from "../factors/factor.ts";
import { factors } from "../factors/index.ts";
import { canBeWorth, type Strength } from "../factors/strength.ts";
import type { ProofFacts, TypeName } from "./challenges.table.ts";

/** Properties of an accepted proof; those that it does not state are false. */
export const factsOf = ({
  deviceBound,
  userVerified,
  saysVerified,
  alone,
  signedAction,
  numberLength,
}: Omit<AcceptedProof, "factorId">): Required<ProofFacts> => ({
  deviceBound: deviceBound ?? false,
  userVerified: userVerified ?? false,
  saysVerified: saysVerified ?? userVerified ?? false,
  alone: alone ?? false,
  signedAction: signedAction ?? false,
  numberLength: numberLength ?? 0,
});

/** Whether proofs of a kind can have the required strength. */
export const canProve = (type: TypeName | "", strength: Strength): boolean =>
  factors.some((factor) => factor.type === type && canBeWorth(factor, strength));

/** Whether a proof has the required strength. */
export const proofMeets = (type: TypeName | "", facts: ProofFacts | null, strength: Strength): boolean =>
  canProve(type, strength) && (strength !== "DEVICE_BOUND" || (facts?.deviceBound === true && facts.userVerified));
