import type { Store } from "../db/store.ts";
import type { Factor } from "../factors/factor.ts";
import { type CountsUser, canMeet, countUsers, type HeldKind, usableUnder } from "../factors/known-users.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { decide, type Posture } from "./decision.ts";
import { isForAll, LEVELS, type Level, type Requirements } from "./requirement.ts";
import type { FactorPolicy } from "./satisfiable.ts";

/** Dependencies of warnings. */
export interface WarningOptions {
  readonly store: Store;
  readonly clock: () => Date;
  readonly factors: readonly Factor[];
}

const standingUnder = (held: readonly HeldKind[], settings: EffectiveSettings): Posture => ({
  held: usableUnder(held, settings).map(({ factor: { type }, deviceBound = false }) => ({ type, deviceBound })),
  enrolled: held.some(({ factor }) => factor.counts),
  ...{ trusted: false, asked: "UNSPECIFIED", enforced: "UNSPECIFIED" },
});

/** What a change means for the users that are known, in words and numbers; of the first thousand. */
export function createPolicyWarnings({ store, clock, factors }: WarningOptions) {
  /** Users with a factor whom a level refuses whatever they prove of what they hold. */
  const refusedAt =
    (level: Level, { levels, settings }: { levels: Requirements; settings: EffectiveSettings }): CountsUser =>
    (held) => {
      const standing = standingUnder(held, settings);
      const { decision } = decide(factors, { level, requirement: levels[level] }, standing);
      return standing.enrolled && decision === "DENY" && !levels[level].block;
    };
  const worded = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).flatMap(([what, count]) => (count === 0 ? [] : [`${what}: ${count}`]));
  const named = (level: Level) => `the ${level.toLowerCase()} level`;

  return {
    /** Of levels that are asked for from now on. */
    async ofLevels(tenantId: string, changed: readonly Level[], levels: Requirements, settings: EffectiveSettings) {
      const conditions: Record<string, CountsUser> = {};
      if (changed.some((level) => isForAll(levels[level]) && !levels[level].block)) {
        conditions["known users without a factor, who have to enroll"] = (held) =>
          !held.some(({ factor }) => factor.counts);
      }
      for (const level of changed) {
        conditions[`known users whose factors do not meet ${named(level)}`] = refusedAt(level, { levels, settings });
      }
      return worded(await countUsers(store, tenantId, clock(), conditions));
    },

    /** Of settings in the place of others, under the policy that is there. */
    async ofSettings(tenantId: string, before: EffectiveSettings, { levels, rules, settings }: FactorPolicy) {
      const has = (held: readonly HeldKind[], by: EffectiveSettings) => canMeet(held, by, "ANY_FACTOR");
      const conditions: Record<string, CountsUser> = {
        "known users whose only factors are no longer admitted": (held) => has(held, before) && !has(held, settings),
        "known users of whose factors some are no longer admitted": (held) =>
          usableUnder(held, settings).length < usableUnder(held, before).length && has(held, settings),
      };
      for (const level of LEVELS) {
        const [was, is] = [before, settings].map((by) => refusedAt(level, { levels, settings: by }));
        conditions[`known users whose factors no longer meet ${named(level)}`] = (held) =>
          is?.(held) === true && was?.(held) === false;
      }
      for (const rule of rules.filter(
        ({ enabled, reportOnly, selector }) => enabled && !reportOnly && selector.everyone,
      )) {
        conditions[`known users whose factors no longer meet the rule ${rule.ruleId}`] = (held) =>
          canMeet(held, before, rule.strength) && !canMeet(held, settings, rule.strength);
      }
      return worded(await countUsers(store, tenantId, clock(), conditions));
    },

    /** How many known users cannot meet a rule at present. */
    async unable(tenantId: string, strength: Posture["enforced"], settings: EffectiveSettings): Promise<number> {
      const unable: CountsUser = (held) => !canMeet(held, settings, strength);
      return (await countUsers(store, tenantId, clock(), { unable })).unable;
    },
  };
}

/** What changes mean for users. */
export type PolicyWarnings = ReturnType<typeof createPolicyWarnings>;
