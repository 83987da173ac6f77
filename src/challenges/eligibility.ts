import type { AnyProver, Factor } from "../factors/factor.ts";
import { canBeWorth, isOn, raisesLevel, type Strength } from "../factors/strength.ts";
import type { Settings } from "../tenants/settings.ts";
import type { TypeName } from "./challenges.table.ts";

/** What decides whether a kind of factor will do. */
export interface Demands {
  /** The kinds that the requester names; empty where it names none. */
  readonly allowedTypes: readonly TypeName[];
  readonly strength: Strength;
  readonly requiresBinding: boolean;
  /** Where several proofs are asked for together, of which one has to be of the strength: the groups of kinds. */
  readonly groups?: readonly (readonly TypeName[])[] | null;
}

/** The factors there are, and how they are proved. */
export interface Registry {
  readonly factors: readonly Factor[];
  readonly provers: readonly AnyProver[];
}

/**
 * The kinds that will do, strongest first: those that can be proved, that the tenant has on, and that meet the demands.
 * Asked when a challenge is created, proved and redeemed, as each may have changed in between.
 */
export function eligible(
  { factors, provers }: Registry,
  { allowedTypes, strength, requiresBinding, groups }: Demands,
  settings: Settings,
): Factor[] {
  const worth = groups ? "UNSPECIFIED" : strength;
  const proverOf = new Map(provers.map((prover) => [prover.type, prover]));
  return factors.filter((factor) => {
    const prover = proverOf.get(factor.type);
    const isNamed = allowedTypes.length === 0 ? raisesLevel(factor) : allowedTypes.includes(factor.type);
    const binds = !requiresBinding || prover?.signsAction === true;
    return prover !== undefined && isNamed && binds && isOn(factor, settings) && canBeWorth(factor, worth);
  });
}
