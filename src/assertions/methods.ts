import type { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { HARDWARE_KEY, USER_VERIFIED } from "../factors/amr.ts";
import type { Factor, FactorTypeName, ProvenFacts } from "../factors/factor.ts";
import { factorOf, factors } from "../factors/index.ts";
import { raisesLevel } from "../factors/strength.ts";

/** What a proof was, as far as the methods of an assertion go. */
export interface Method extends ProvenFacts {
  readonly type: FactorTypeName;
}

/** The kinds of factor that proved what an assertion states. */
export const kindsOf = (amr: readonly string[]): FactorTypeName[] =>
  factors.filter((factor) => amr.includes(factor.amr.own)).map(({ type }) => type);

/** The level and the methods that proofs are stated as: RFC 8176's names, and ours as URNs where it has none. */
export function statedAs(methods: readonly Method[]): { acr: "aal1" | "aal2"; amr: string[] } {
  const amr = [...new Set(methods.flatMap((method) => factorOf(method.type).amr.of(method)))];
  // E-mail is no second factor (NIST SP 800-63B-4 §3.1.3.1).
  const raises = methods.some(({ type }) => raisesLevel(factorOf(type)));
  return raises ? { acr: "aal2", amr: [...amr, "mfa"] } : { acr: "aal1", amr };
}

/** The methods by which the kinds are told that meet a condition. */
const methodsOf = (meets: (factor: Factor) => boolean): readonly string[] =>
  factors.filter(meets).map((factor) => factor.amr.own);

const restricted = methodsOf((factor) => factor.restricted || !raisesLevel(factor));
const phishingResistant = methodsOf((factor) => factor.phishingResistant);
const deviceBound = methodsOf((factor) => factor.phishingResistant && factor.canBeDeviceBound);
const notCounting = methodsOf((factor) => !factor.counts);
const recovering = methodsOf((factor) => factor.recovers);
const namesOneOf = (amr: readonly string[], these: readonly string[]): boolean =>
  these.some((one) => amr.includes(one));

/** Whether methods name a proof that is none of these. */
const namesMoreThan = (amr: readonly string[], these: readonly string[]): boolean =>
  amr.some((name) => name !== "mfa" && !these.includes(name));

const demands: Record<keyof typeof AuthenticationStrength, (acr: string, amr: readonly string[]) => boolean> = {
  UNSPECIFIED: () => true,
  ANY_FACTOR: (acr) => acr === "aal2",
  UNRESTRICTED: (acr, amr) => acr === "aal2" && namesMoreThan(amr, restricted),
  PHISHING_RESISTANT: (acr, amr) => acr === "aal2" && namesOneOf(amr, phishingResistant),
  DEVICE_BOUND: (acr, amr) =>
    acr === "aal2" &&
    namesOneOf(amr, deviceBound) &&
    [HARDWARE_KEY, USER_VERIFIED].every((method) => amr.includes(method)),
};

/** Whether what an assertion states is worth what is asked. */
export const assertionMeets = (
  { acr, amr }: { readonly acr: string; readonly amr: readonly string[] },
  strength: keyof typeof AuthenticationStrength,
): boolean => demands[strength](acr, amr);

/** Whether all of the level that was proved is used up by now: no ground for trust that lasts. */
export const isUsedUp = (amr: readonly string[]): boolean => !namesMoreThan(amr, notCounting);

/** Whether it was stated by a backup code and by nothing that lasts. */
export const isByBackupCode = (amr: readonly string[]): boolean => isUsedUp(amr) && namesOneOf(amr, recovering);
