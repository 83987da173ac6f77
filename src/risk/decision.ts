import type { MfaDecision } from "../../gen/mfa/v1/risk_pb.js";
import type { Factor } from "../factors/factor.ts";
import { canBeWorth, raisesLevel, STRENGTHS, type Strength, strongest } from "../factors/strength.ts";
import { isForAll, type Level, type Requirement } from "./requirement.ts";

/** What a log-in still needs, by the contract's names. */
export type DecisionName = Exclude<keyof typeof MfaDecision, "UNSPECIFIED">;

/** What a user has, and what is asked of them besides what the level asks. Kept with a decision, to judge it again. */
export interface Posture {
  /** What could be proved at present: active, and of a kind that the tenant has on. */
  readonly held: readonly { readonly type: Factor["type"]; readonly deviceBound: boolean }[];
  /** Whether any factor that counts is active, on or not. */
  readonly enrolled: boolean;
  /** The kinds that the tenant has on; absent in decisions from before this was kept, which count every kind. */
  readonly on?: readonly Factor["type"][];
  /** The kinds that the user can enroll; absent likewise. */
  readonly enrollable?: readonly Factor["type"][];
  /** Whether the client is trusted. */
  readonly trusted: boolean;
  /** What the application asks for. */
  readonly asked: Strength;
  /** What a rule asks for that holds for the user by now; UNSPECIFIED for none. */
  readonly enforced: Strength;
}

/**
 * What was decided: the kinds that will do, and what the proof has to be worth. For a user with factors who is to enroll a
 * stronger one, the kinds that they prove first.
 */
export interface Decided {
  readonly decision: DecisionName;
  readonly strength: Strength;
  readonly types: readonly Factor["type"][];
  /** The groups of the level that the user can complete; empty where any kind will do. */
  readonly groups: readonly (readonly Factor["type"][])[];
}

const isAtMost = (strength: Strength, limit: Strength) => STRENGTHS.indexOf(strength) <= STRENGTHS.indexOf(limit);

/** The groups that a user can complete with what they hold, one of them enough. */
function completable(
  factors: readonly Factor[],
  { held }: Posture,
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

/** The kinds by whose enrollment a user comes to meet a demand, strongest first; none where no enrollment helps. */
export function helpful(
  factors: readonly Factor[],
  { on, enrollable }: Pick<Posture, "on" | "enrollable">,
  { anyOf }: Pick<Requirement, "anyOf">,
  strength: Strength,
): Factor["type"][] {
  const possible = anyOf.filter((group) => group.every((type) => on?.includes(type) ?? true));
  if (anyOf.length > 0 && possible.length === 0) return [];
  const worth = factors
    .filter((factor) => factor.counts && canBeWorth(factor, strength))
    .map(({ type }) => type)
    .filter((type) => enrollable?.includes(type) ?? true);
  const named = worth.filter((type) => possible.some((group) => group.includes(type)));
  if (named.length > 0) return named;
  // Where only kinds that do not count are named, one that does comes first.
  const isSpare = (type: Factor["type"]) => factors.some((factor) => factor.type === type && !factor.counts);
  return anyOf.length === 0 || possible.some((group) => group.every(isSpare)) ? worth : [];
}

/** The kinds that a user proves first, who meets everything but what a rule asks for, and can enroll that. */
function provenFirst(
  factors: readonly Factor[],
  { level, requirement }: { level: Level; requirement: Requirement },
  standing: Posture,
): Factor["type"][] {
  const without = strongest(requirement.strength, standing.asked);
  // At high risk the proof may be somebody else's too: nothing that lasts is made of it.
  if (level === "HIGH" || isAtMost(standing.enforced, without)) return [];
  if (helpful(factors, standing, requirement, standing.enforced).length === 0) return [];
  return [...new Set(completable(factors, standing, requirement, without).flat())];
}

/**
 * What a log-in of a level needs. A rule's demand has users enroll what meets it, who first prove what they have. A level's demand is put to users who have factors; of those who have none one is asked
 * for where a rule, the application or the level names kinds or a strength, and at high risk nobody enrolls their first:
 * it may be somebody else's.
 */
export function decide(
  factors: readonly Factor[],
  { level, requirement }: { level: Level; requirement: Requirement },
  standing: Posture,
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
  if (enrolled) {
    const first = provenFirst(factors, { level, requirement }, standing);
    return first.length > 0 ? { ...nothing, types: first, decision: "ENROLL" } : { ...nothing, decision: "DENY" };
  }
  const isDemanded = isForAll(requirement) || asked !== "UNSPECIFIED" || enforced !== "UNSPECIFIED";
  if (!isDemanded) return { ...nothing, decision: "ALLOW" };
  const isPossible = level !== "HIGH" && helpful(factors, standing, requirement, strength).length > 0;
  return { ...nothing, decision: isPossible ? "ENROLL" : "DENY" };
}
