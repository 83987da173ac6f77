import type { MfaDecision } from "../../gen/mfa/v1/risk_pb.js";
import type { Factor } from "../factors/factor.ts";
import { canBeWorth, raisesLevel, STRENGTHS, type Strength, strongest } from "../factors/strength.ts";
import { isForAll, type Level, type Requirement } from "./requirement.ts";

/** What a log-in still needs, by the contract's names. */
export type Outcome = Exclude<keyof typeof MfaDecision, "UNSPECIFIED">;

/** What a user has, and what is asked of them besides what the level asks. Kept with a decision, to judge it again. */
export interface Standing {
  /** What could be proved at present: active, and of a kind that the tenant has on. */
  readonly held: readonly { readonly type: Factor["type"]; readonly deviceBound: boolean }[];
  /** Whether any factor that counts is active, on or not. */
  readonly enrolled: boolean;
  /** Whether the client is trusted. */
  readonly trusted: boolean;
  /** What the application asks for. */
  readonly asked: Strength;
  /** What a rule asks for that holds for the user by now; UNSPECIFIED for none. */
  readonly enforced: Strength;
}

/** What was decided: the kinds that will do, and what the proof has to be worth. */
export interface Decided {
  readonly decision: Outcome;
  readonly strength: Strength;
  readonly types: readonly Factor["type"][];
  /** The groups of the level that the user can complete; empty where any kind will do. */
  readonly groups: readonly (readonly Factor["type"][])[];
}

const isAtMost = (strength: Strength, limit: Strength) => STRENGTHS.indexOf(strength) <= STRENGTHS.indexOf(limit);

/** The groups that a user can complete with what they hold, one of them enough. */
function completable(
  factors: readonly Factor[],
  { held }: Standing,
  { anyOf }: Requirement,
  strength: Strength,
): Factor["type"][][] {
  const isHeld = (factor: Factor, worth: Strength) =>
    canBeWorth(factor, worth) &&
    held.some(({ type, deviceBound }) => type === factor.type && (worth !== "DEVICE_BOUND" || deviceBound));
  if (anyOf.length === 0) {
    return factors.filter((factor) => raisesLevel(factor) && isHeld(factor, strength)).map(({ type }) => [type]);
  }
  return anyOf
    .filter((group) => {
      const kinds = factors.filter(({ type }) => group.includes(type));
      const isComplete = kinds.length === group.length && kinds.every((factor) => isHeld(factor, "UNSPECIFIED"));
      return isComplete && kinds.some((factor) => isHeld(factor, strength));
    })
    .map((group) => [...group]);
}

/**
 * What a log-in of a level needs. A level's demand is put to users who have factors; of those who have none one is asked
 * for where a rule, the application or the level names kinds or a strength, and at high risk nobody enrols their first:
 * it may be somebody else's.
 */
export function decide(
  factors: readonly Factor[],
  { level, requirement }: { level: Level; requirement: Requirement },
  standing: Standing,
): Decided {
  const { enrolled, trusted, asked, enforced } = standing;
  const strength = strongest(requirement.strength, asked, enforced);
  const nothing = { strength, types: [], groups: [] };
  if (requirement.block) return { ...nothing, decision: "DENY" };
  const isAsked = requirement.anyOf.length > 0 || strength !== "UNSPECIFIED";
  if (!isAsked) return { ...nothing, decision: "ALLOW" };
  const mayStandIn = requirement.allowTrusted && level !== "HIGH" && isAtMost(enforced, "ANY_FACTOR");
  // A trusted client stands in for a proof that nobody asked for by its worth; it is no proof.
  if (enrolled && trusted && mayStandIn && asked === "UNSPECIFIED") return { ...nothing, decision: "ALLOW" };
  const groups = completable(factors, standing, requirement, strength);
  const isNamed = requirement.anyOf.length > 0;
  if (groups.length > 0 && (enrolled || isNamed)) {
    const types = factors.map(({ type }) => type).filter((type) => groups.some((group) => group.includes(type)));
    return { decision: "CHALLENGE", strength, types, groups: isNamed ? groups : [] };
  }
  if (enrolled) return { ...nothing, decision: "DENY" };
  const isDemanded = isForAll(requirement) || asked !== "UNSPECIFIED" || enforced !== "UNSPECIFIED";
  if (!isDemanded) return { ...nothing, decision: "ALLOW" };
  return { ...nothing, decision: level === "HIGH" ? "DENY" : "ENROLL" };
}
