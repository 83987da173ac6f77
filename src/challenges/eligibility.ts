import type { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import type { AnyProver, Factor } from "../factors/factor.ts";
import type { Settings } from "../tenants/settings.ts";
import type { TypeName } from "./challenges.table.ts";

/** What decides whether a kind of factor will do. */
export interface Demands {
  /** The kinds that the requester names; empty where it names none. */
  readonly allowedTypes: readonly TypeName[];
  readonly strength: keyof typeof AuthenticationStrength;
  readonly requiresBinding: boolean;
}

/** The factors there are, and how they are proved. */
export interface Registry {
  readonly factors: readonly Factor[];
  readonly provers: readonly AnyProver[];
}

/** Used up by a proof, so that they are not to be found afterwards; worth aal2 with a flag. */
const consumed: ReadonlySet<TypeName> = new Set(["BACKUP_CODE", "TEMPORARY_PASS"]);

/** Whether proofs of a kind raise the level to aal2: all but e-mail (NIST SP 800-63B-4 §3.1.3.1). */
export const raisesLevel = ({ type, counts }: Factor): boolean => counts || consumed.has(type);

/** Whether the tenant has a kind switched on. Passes are given by administrators and not enrolled: they have a setting. */
const isOn = (factor: Factor, settings: Settings) =>
  factor.type === "TEMPORARY_PASS" ? !settings.administration.denyTemporaryPasses : factor.isEnrollable(settings);

const demands: Record<keyof typeof AuthenticationStrength, (factor: Factor) => boolean> = {
  // Also e-mail, if it was asked for by name.
  UNSPECIFIED: () => true,
  ANY_FACTOR: raisesLevel,
  UNRESTRICTED: (factor) => raisesLevel(factor) && !factor.restricted,
  PHISHING_RESISTANT: ({ type }) => type === "WEBAUTHN",
  DEVICE_BOUND: ({ type }) => type === "WEBAUTHN",
};

/**
 * The kinds that will do, strongest first: those that can be proved, that the tenant has on, and that meet the demands.
 * Asked when a challenge is created, proved and redeemed, as each may have changed in between.
 */
export function eligible(
  { factors, provers }: Registry,
  { allowedTypes, strength, requiresBinding }: Demands,
  settings: Settings,
): Factor[] {
  const proverOf = new Map(provers.map((prover) => [prover.type, prover]));
  return factors.filter((factor) => {
    const prover = proverOf.get(factor.type);
    const isNamed = allowedTypes.length === 0 ? raisesLevel(factor) : allowedTypes.includes(factor.type);
    const binds = !requiresBinding || prover?.signsAction === true;
    return prover !== undefined && isNamed && binds && isOn(factor, settings) && demands[strength](factor);
  });
}

/** Whether the kind is used up by its proof. */
export const isConsumed = (type: TypeName): boolean => consumed.has(type);
