import type { AnyProver, Factor } from "../factors/factor.ts";
import { canBeWorth, raisesLevel, type Strength } from "../factors/strength.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import type { TypeName } from "./challenges.table.ts";

/** The demands that decide which kinds of factors are eligible. */
export interface Demands {
  /** The kinds that the requester allows; empty for any. */
  readonly allowedTypes: readonly TypeName[];
  readonly strength: Strength;
  readonly requiresBinding: boolean;
  /** The groups of kinds, where several proofs are required and one of them must have the strength. */
  readonly groups?: readonly (readonly TypeName[])[] | null;
}

/** The registry of factors and provers. */
export interface Registry {
  readonly factors: readonly Factor[];
  readonly provers: readonly AnyProver[];
}

/**
 * Returns the eligible kinds, strongest first: provable, switched on in the tenant, and meeting the demands. Evaluated
 * when a challenge is created, proved and redeemed, since each may have changed in between.
 */
export function eligible(
  { factors, provers }: Registry,
  { allowedTypes, strength, requiresBinding, groups }: Demands,
  settings: EffectiveSettings,
): Factor[] {
  const worth = groups ? "UNSPECIFIED" : strength;
  const proverOf = new Map(provers.map((prover) => [prover.type, prover]));
  return factors.filter((factor) => {
    const prover = proverOf.get(factor.type);
    const isNamed = allowedTypes.length === 0 ? raisesLevel(factor) : allowedTypes.includes(factor.type);
    const binds = !requiresBinding || prover?.signsAction === true;
    return prover !== undefined && isNamed && binds && factor.isOn(settings) && canBeWorth(factor, worth);
  });
}
