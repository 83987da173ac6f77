import type { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import type { Factor, FactorInstance } from "./factor.ts";

/** What a proof has to be worth, by the contract's names. */
export type Strength = keyof typeof AuthenticationStrength;

/** Whether proofs of a kind raise the level to aal2: all but e-mail (NIST SP 800-63B-4 §3.1.3.1). */
export const raisesLevel = ({ counts, consumed }: Pick<Factor, "counts" | "consumed">): boolean => counts || consumed;

/** Whether an instance can be proved at present: active, not used up, and nothing of the tenant's settings against it. */
export const isUsable = (
  { factor, state, remainingUses, refusedBy }: FactorInstance & { readonly factor: Factor },
  settings: EffectiveSettings,
): boolean => state === "ACTIVE" && remainingUses !== 0 && factor.isOn(settings) && refusedBy?.(settings) === undefined;

const demands: Record<Strength, (factor: Factor) => boolean> = {
  // Also e-mail, if it was asked for by name.
  UNSPECIFIED: () => true,
  ANY_FACTOR: raisesLevel,
  UNRESTRICTED: (factor) => raisesLevel(factor) && !factor.restricted,
  PHISHING_RESISTANT: ({ phishingResistant }) => phishingResistant,
  DEVICE_BOUND: ({ phishingResistant, canBeDeviceBound }) => phishingResistant && canBeDeviceBound,
};

/** Whether proofs of a kind can be worth what is asked. What a single passkey lacks for it, only its proof tells. */
export const canBeWorth = (factor: Factor, strength: Strength): boolean => demands[strength](factor);

/** Weakest first: each includes the demands of those before. */
export const STRENGTHS: readonly Strength[] = [
  "UNSPECIFIED",
  "ANY_FACTOR",
  "UNRESTRICTED",
  "PHISHING_RESISTANT",
  "DEVICE_BOUND",
];

/** The strongest of several demands. */
export const strongest = (...asked: readonly Strength[]): Strength =>
  asked.reduce((most, one) => (STRENGTHS.indexOf(one) > STRENGTHS.indexOf(most) ? one : most), "UNSPECIFIED");

/** Whether users of a tenant with these settings can enroll a factor that counts and whose proofs are worth this. */
export const canEnroll = (factors: readonly Factor[], settings: EffectiveSettings, strength: Strength): boolean =>
  factors.some((factor) => factor.counts && factor.isEnrollable(settings) && canBeWorth(factor, strength));
