import type { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import type { Factor } from "../factors/factor.ts";
import { canBeWorth, isOn, STRENGTHS, type Strength } from "../factors/strength.ts";
import type { Settings } from "../tenants/settings.ts";

/** How risky a log-in is, by the contract's names. */
export type Level = Exclude<keyof typeof RiskLevel, "UNSPECIFIED">;

/** Lowest first. */
export const LEVELS: readonly Level[] = ["LOW", "MEDIUM", "HIGH"];

/** What a level asks for. */
export interface Requirement {
  /** Groups of kinds, all of one of which are to be proved; empty where any will do. */
  readonly anyOf: readonly (readonly Factor["type"][])[];
  readonly strength: Strength;
  /** Whether log-ins are refused, whatever is proved. */
  readonly block: boolean;
  /** Whether a trusted device stands in for the proof. */
  readonly allowTrusted: boolean;
}

/** What each level asks for. */
export type Requirements = Readonly<Record<Level, Requirement>>;

const anyFactor: Requirement = { anyOf: [], strength: "ANY_FACTOR", block: false, allowTrusted: false };

/** What levels ask for that nobody has set otherwise: a factor of whoever has one, and trust counts at low risk only. */
export const defaults: Requirements = { LOW: { ...anyFactor, allowTrusted: true }, MEDIUM: anyFactor, HIGH: anyFactor };

/** Whether anything is to be proved at all. */
export const asks = ({ anyOf, strength }: Requirement): boolean => anyOf.length > 0 || strength !== "UNSPECIFIED";

/** Whether it is put to everybody, and not to users only who have a factor: where it names kinds or a strength beyond any. */
export const isForAll = ({ anyOf, strength }: Requirement): boolean =>
  anyOf.length > 0 || STRENGTHS.indexOf(strength) > STRENGTHS.indexOf("ANY_FACTOR");

/** Whether some user of a tenant with these settings could meet it. A block is met by nobody, and meant to be. */
export function isSatisfiable(requirement: Requirement, factors: readonly Factor[], settings: Settings): boolean {
  const { anyOf, strength, block } = requirement;
  if (block || !asks(requirement)) return true;
  const on = factors.filter((factor) => isOn(factor, settings));
  if (anyOf.length === 0) return on.some((factor) => canBeWorth(factor, strength));
  return anyOf.some((group) => {
    const kinds = on.filter(({ type }) => group.includes(type));
    return kinds.length === new Set(group).size && kinds.some((factor) => canBeWorth(factor, strength));
  });
}

const rank = (requirement: Requirement) => {
  if (requirement.block) return STRENGTHS.length + 1;
  return asks(requirement) ? 1 + STRENGTHS.indexOf(requirement.strength) : 0;
};

/** What deserves a second look about the levels together. */
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
