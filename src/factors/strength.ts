import type { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import type { Settings } from "../tenants/settings.ts";
import type { Factor } from "./factor.ts";

/** What a proof has to be worth, by the contract's names. */
export type Strength = keyof typeof AuthenticationStrength;

/** Used up by a proof, so that they are not to be found afterwards; worth aal2 with a flag. */
const consumed: ReadonlySet<Factor["type"]> = new Set(["BACKUP_CODE", "TEMPORARY_PASS"]);

/** Whether the kind is used up by its proof. */
export const isConsumed = (type: Factor["type"]): boolean => consumed.has(type);

/** Whether proofs of a kind raise the level to aal2: all but e-mail (NIST SP 800-63B-4 §3.1.3.1). */
export const raisesLevel = ({ type, counts }: Factor): boolean => counts || consumed.has(type);

/** Whether the tenant has a kind switched on. Passes are given by administrators and not enrolled: they have a setting. */
export const isOn = (factor: Factor, settings: Settings): boolean =>
  factor.type === "TEMPORARY_PASS" ? !settings.administration.denyTemporaryPasses : factor.isEnrollable(settings);

const demands: Record<Strength, (factor: Factor) => boolean> = {
  // Also e-mail, if it was asked for by name.
  UNSPECIFIED: () => true,
  ANY_FACTOR: raisesLevel,
  UNRESTRICTED: (factor) => raisesLevel(factor) && !factor.restricted,
  PHISHING_RESISTANT: ({ type }) => type === "WEBAUTHN",
  DEVICE_BOUND: ({ type }) => type === "WEBAUTHN",
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

/** Whether users of a tenant with these settings can enrol a factor that counts and whose proofs are worth this. */
export const canEnrol = (factors: readonly Factor[], settings: Settings, strength: Strength): boolean =>
  factors.some((factor) => factor.counts && factor.isEnrollable(settings) && canBeWorth(factor, strength));
