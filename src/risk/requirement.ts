import type { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import type { Factor } from "../factors/factor.ts";
import { canBeWorth, STRENGTHS, type Strength } from "../factors/strength.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";

/** A level of risk, by the contract's names. */
export type Level = Exclude<keyof typeof RiskLevel, "UNSPECIFIED">;

/** Lowest first. */
export const LEVELS: readonly Level[] = ["LOW", "MEDIUM", "HIGH"];

/** The requirement of a level. */
export interface Requirement {
  /** Groups of kinds: all kinds of one group are to be proved; empty where any kind suffices. */
  readonly anyOf: readonly (readonly Factor["type"][])[];
  readonly strength: Strength;
  /** Whether log-ins are blocked. */
  readonly block: boolean;
  /** Whether a trusted device replaces the proof. */
  readonly allowTrusted: boolean;
}

/** The requirements of all levels. */
export type Requirements = Readonly<Record<Level, Requirement>>;

const anyFactor: Requirement = { anyOf: [], strength: "ANY_FACTOR", block: false, allowTrusted: false };

/** The default requirements of levels: a factor of users who have one; trust counts at low risk only. */
export const defaults: Requirements = { LOW: { ...anyFactor, allowTrusted: true }, MEDIUM: anyFactor, HIGH: anyFactor };

/** Whether the level requires a proof. */
export const asks = ({ anyOf, strength }: Requirement): boolean => anyOf.length > 0 || strength !== "UNSPECIFIED";

/** Whether the requirement also holds for users without a factor: where it names kinds or a strength. */
export const isForAll = ({ anyOf, strength }: Requirement): boolean =>
  anyOf.length > 0 || STRENGTHS.indexOf(strength) > STRENGTHS.indexOf("ANY_FACTOR");

/** Whether a user of a tenant with these settings can meet the requirement. A block counts as satisfiable. */
export function isSatisfiable(
  requirement: Requirement,
  factors: readonly Factor[],
  settings: EffectiveSettings,
): boolean {
  const { anyOf, strength, block } = requirement;
  if (block || !asks(requirement)) return true;
  const on = factors.filter((factor) => factor.isOn(settings));
  if (anyOf.length === 0) return on.some((factor) => canBeWorth(factor, strength));
  return anyOf.some((group) => {
    const kinds = on.filter(({ type }) => group.includes(type));
    return kinds.length === new Set(group).size && kinds.some((factor) => canBeWorth(factor, strength));
  });
}

/** Whether a change weakens a level's requirement. */
export function weakens(before: Requirement, after: Requirement): boolean {
  const isWeaker = STRENGTHS.indexOf(after.strength) < STRENGTHS.indexOf(before.strength);
  // Each remaining way must be a former one, with the same or more proofs.
  const isWider =
    before.anyOf.length > 0 &&
    (after.anyOf.length === 0 ||
      !after.anyOf.every((group) => before.anyOf.some((one) => one.every((type) => group.includes(type)))));
  const isUnblocked = before.block && !after.block;
  return isUnblocked || (!after.block && (isWeaker || isWider || (after.allowTrusted && !before.allowTrusted)));
}

const rank = (requirement: Requirement) => {
  if (requirement.block) return STRENGTHS.length + 1;
  return asks(requirement) ? 1 + STRENGTHS.indexOf(requirement.strength) : 0;
};

/** Warnings about the levels taken together. */
export function warningsOf(levels: Requirements): string[] {
  const named = (level: Level) => `the ${level.toLowerCase()} level`;
  return LEVELS.flatMap((level, n) => {
    const { block, allowTrusted } = levels[level];
    const below = LEVELS[n - 1];
    return [
      ...(block ? [`${named(level)} is blocked: nobody logs in at it`] : []),
      ...(!block && !asks(levels[level]) ? [`${named(level)} asks for nothing, also of users who have a factor`] : []),
      ...(below && rank(levels[level]) < rank(levels[below])
        ? [`${named(level)} asks for less than ${named(below)}`]
        : []),
      ...(below && allowTrusted && !levels[below].allowTrusted
        ? [`${named(level)} lets trusted devices stand in, and ${named(below)} does not`]
        : []),
    ];
  });
}
