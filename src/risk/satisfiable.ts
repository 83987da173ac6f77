import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { type EnforcementRuleRow, enforcementRepository } from "../enforcement/enforcement.repository.ts";
import type { Factor } from "../factors/factor.ts";
import { canEnroll, strongest } from "../factors/strength.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { policyInForce } from "./policy-in-force.ts";
import { isSatisfiable, LEVELS, type Level, type Requirements } from "./requirement.ts";

/** What a tenant asks of its users' factors, and what its settings let them have. */
export interface FactorPolicy {
  readonly levels: Requirements;
  readonly rules: readonly EnforcementRuleRow[];
  readonly settings: EffectiveSettings;
}

/** What no user could meet: a level, a rule, or a rule at a level. */
export interface Conflict {
  /** Empty where a rule is impossible at every level. */
  readonly level: Level | "";
  /** Empty where the level is impossible without any rule. */
  readonly ruleId: string;
}

/** Everything of a policy that no user could meet. Rules that are only reported refuse nobody at a level. */
export function conflictsOf({ levels, rules, settings }: FactorPolicy, factors: readonly Factor[]): Conflict[] {
  const possible = LEVELS.filter((level) => isSatisfiable(levels[level], factors, settings));
  const conflicts: Conflict[] = LEVELS.filter((level) => !possible.includes(level)).map((level) => ({
    ...{ level, ruleId: "" },
  }));
  for (const { ruleId, strength, enabled, reportOnly } of rules) {
    if (!enabled) continue;
    const isImpossible = !canEnroll(factors, settings, strength);
    if (isImpossible) conflicts.push({ level: "", ruleId });
    if (isImpossible || reportOnly) continue;
    for (const level of possible) {
      const together = { ...levels[level], strength: strongest(levels[level].strength, strength) };
      if (!isSatisfiable(together, factors, settings)) conflicts.push({ level, ruleId });
    }
  }
  return conflicts;
}

/** A tenant's policy as the unit sees it. */
export async function factorPolicyOf(tx: Tx, tenantId: string, settings: EffectiveSettings): Promise<FactorPolicy> {
  const { levels } = await policyInForce(tx, tenantId);
  return { levels, rules: await enforcementRepository(tx).list(tenantId), settings };
}

/** The refusal of a change that brings conflicts, by the first of them; undefined where it brings none. */
export function unsatisfiable(conflicts: readonly Conflict[], before: readonly Conflict[] = []): Refusal | undefined {
  const isOld = ({ level, ruleId }: Conflict) => before.some((old) => old.level === level && old.ruleId === ruleId);
  const first = conflicts.find((conflict) => !isOld(conflict));
  if (!first) return undefined;
  const { level, ruleId } = first;
  return new Refusal("POLICY_UNSATISFIABLE", {
    metadata: { ...(level !== "" && { level }), ...(ruleId !== "" && { rule_id: ruleId }) },
  });
}
