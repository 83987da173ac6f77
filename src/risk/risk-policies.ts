import { isDeepStrictEqual } from "node:util";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import { StoreConflict, type Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import type { Factor } from "../factors/factor.ts";
import type { EffectiveSettings, SettingsOf } from "../tenant-settings/settings.ts";
import { type PolicyInForce, policyInForce, requirementsFrom } from "./policy-in-force.ts";
import type { PolicyWarnings } from "./policy-warnings.ts";
import { defaults, LEVELS, type Level, type Requirement, type Requirements, warningsOf } from "./requirement.ts";
import { type RiskPolicyRow, riskPolicyRepository } from "./risk-policies.repository.ts";
import { conflictsOf, factorPolicyOf, unsatisfiable } from "./satisfiable.ts";

/** Dependencies of policies. */
export interface RiskPolicyOptions {
  readonly factors: readonly Factor[];
  readonly settingsOf: SettingsOf;
  /** The settings as a unit sees them, also those that another unit has just changed. */
  readonly settingsIn: (tx: Tx, tenantId: string) => Promise<EffectiveSettings>;
  readonly warnings: PolicyWarnings;
}

/** One level, as it is set; without a row it is as the service has it. */
export interface LevelPolicy {
  readonly level: Level;
  readonly requirement: Requirement;
  readonly row: RiskPolicyRow | undefined;
}

/** A change of one level; undefined leaves a part. */
export interface LevelChange {
  readonly level: Level;
  readonly requirement: Requirement | undefined;
  readonly description: string | undefined;
  readonly enabled: boolean | undefined;
  readonly version: number;
  readonly reason: string;
}

const policiesFrom = (rows: readonly RiskPolicyRow[]): LevelPolicy[] =>
  LEVELS.map((level) => {
    const row = rows.find((one) => one.level === level);
    return { level, requirement: row?.requirement ?? defaults[level], row };
  });

const stale = (version: number) => new Refusal("STALE_VERSION", { metadata: { version: String(version) } });

const shown = ({ requirement, description, enabled }: RiskPolicyRow) => ({ ...requirement, description, enabled });

/** What administrators ask for by level of risk: a row for each level that was changed, and one version of them all. */
export function createRiskPolicies({ factors, settingsOf, settingsIn, warnings }: RiskPolicyOptions) {
  /** A stolen browser would be all it takes. */
  const trustAtHigh = (level: Level, requirement: Requirement, field: string) =>
    level === "HIGH" && requirement.allowTrusted ? new Refusal("INVALID_FIELD", { metadata: { field } }) : undefined;

  /**
   * Throws where nobody could meet one of the changed levels, alone or with a rule. In a unit that holds the end of the
   * tenant's audit chain, as changes of settings and rules do: of several at once each sees the one before.
   */
  const requireSatisfiable = async (tx: Tx, tenantId: string, changed: readonly Level[]): Promise<void> => {
    const policy = await factorPolicyOf(tx, tenantId, await settingsIn(tx, tenantId));
    const refused = unsatisfiable(
      conflictsOf(policy, factors).filter(({ level }) => level !== "" && changed.includes(level)),
    );
    if (refused) throw refused;
  };

  const record = async (
    tx: Tx,
    call: Call,
    act: { action: string; targetId: string; reason: string; before?: object; after?: object },
  ) => {
    const owner = { tenantId: call.caller.tenantId, userId: "" };
    const { before, after, ...rest } = act;
    await recordAudit(tx, call, {
      ...rest,
      owner,
      ...(before && { before: { ...before } }),
      ...(after && { after: { ...after } }),
    });
    await recordEvent(tx, call, { owner, type: "POLICY_CHANGED" });
  };

  return {
    /** The levels, lowest first, defaults included. */
    list: (call: Call): Promise<LevelPolicy[]> =>
      call.unit(async (tx) => policiesFrom(await riskPolicyRepository(tx).list(call.caller.tenantId))),

    /** All levels as they are in force. */
    find: (call: Call): Promise<PolicyInForce> => call.unit((tx) => policyInForce(tx, call.caller.tenantId)),

    /** Changes one level, if nobody else has since `version`. */
    async change(call: Call, asked: LevelChange): Promise<{ policy: LevelPolicy; warnings: string[] } | Refusal> {
      const { level, requirement, description, enabled, version, reason } = asked;
      const { tenantId } = call.caller;
      if ([requirement, description, enabled].every((part) => part === undefined)) return new Refusal("EMPTY_UPDATE");
      const refused = requirement && trustAtHigh(level, requirement, "requirement.allow_trusted");
      if (refused) return refused;
      // What is asked for is as it was where neither is given.
      const changed = requirement === undefined && enabled === undefined ? [] : [level];
      const made = await call.unit(async (tx) => {
        const policies = riskPolicyRepository(tx);
        const next = await policies.advance(tenantId);
        const rows = await policies.list(tenantId);
        const before = rows.find((row) => row.level === level);
        if ((before?.version ?? 0) !== version) throw stale(before?.version ?? 0);
        const row: RiskPolicyRow = {
          ...{ tenantId, level, policyId: before?.policyId ?? newId(), version: next },
          requirement: requirement ?? before?.requirement ?? defaults[level],
          description: description ?? before?.description ?? "",
          enabled: enabled ?? before?.enabled ?? true,
          createTime: before?.createTime ?? call.now,
          updateTime: call.now,
        };
        if (before && isDeepStrictEqual(shown(before), shown(row))) throw new Refusal("EMPTY_UPDATE");
        await policies.put(row);
        const states = { ...(before && { before: shown(before) }), after: shown(row) };
        await record(tx, call, { action: "risk_policy.updated", targetId: level, reason, ...states });
        await requireSatisfiable(tx, tenantId, changed);
        const levels = requirementsFrom([...rows.filter((one) => one !== before), row]);
        return { policy: { level, requirement: row.requirement, row }, levels };
      });
      const counted = await warnings.ofLevels(tenantId, changed, made.levels, await settingsOf(tenantId));
      return { policy: made.policy, warnings: [...warningsOf(made.levels), ...counted] };
    },

    /** Returns one level to its default; one that is there already stays, and nothing is recorded. */
    async reset(call: Call, level: Level, reason: string): Promise<LevelPolicy> {
      const { tenantId } = call.caller;
      const policy = { level, requirement: defaults[level], row: undefined };
      return call.unit(async (tx) => {
        const policies = riskPolicyRepository(tx);
        const isSet = (await policies.list(tenantId)).some((row) => row.level === level);
        if (!isSet) return policy;
        await policies.advance(tenantId);
        const before = await policies.delete({ tenantId, level });
        // Another reset was quicker: this one looks again, and finds nothing to do.
        if (!before) throw new StoreConflict();
        await record(tx, call, { action: "risk_policy.deleted", targetId: level, reason, before: shown(before) });
        await requireSatisfiable(tx, tenantId, [level]);
        return policy;
      });
    },

    /** Replaces all levels, if nobody else has changed any since `version`. */
    async replace(
      call: Call,
      { levels, version: basedOn, reason }: { levels: Requirements; version: number; reason: string },
    ): Promise<(PolicyInForce & { warnings: string[] }) | Refusal> {
      const { tenantId } = call.caller;
      for (const level of LEVELS) {
        const field = `policy.${level.toLowerCase()}_risk.allow_trusted`;
        const refused = trustAtHigh(level, levels[level], field);
        if (refused) return refused;
      }
      const version = await call.unit(async (tx) => {
        const policies = riskPolicyRepository(tx);
        const next = await policies.advance(tenantId);
        if (next - 1 !== basedOn) throw stale(next - 1);
        const rows = await policies.list(tenantId);
        const times = { createTime: call.now, updateTime: call.now };
        for (const level of LEVELS) {
          const row = rows.find((one) => one.level === level);
          const fresh = { tenantId, level, policyId: newId(), description: "", ...times };
          const written = { requirement: levels[level], enabled: true, version: next, updateTime: call.now };
          await policies.put({ ...fresh, ...row, ...written });
        }
        const states = { before: requirementsFrom(rows), after: levels };
        await record(tx, call, { action: "risk_policy.replaced", targetId: tenantId, reason, ...states });
        await requireSatisfiable(tx, tenantId, LEVELS);
        return next;
      });
      const counted = await warnings.ofLevels(tenantId, LEVELS, levels, await settingsOf(tenantId));
      return { levels, version, warnings: [...warningsOf(levels), ...counted] };
    },
  };
}

/** What administrators ask for by level of risk. */
export type RiskPolicies = ReturnType<typeof createRiskPolicies>;
