import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { type EnforcementRuleRow, enforcementRepository } from "./enforcement.repository.ts";

/** What rules need of the process. */
export interface EnforcementOptions {
  /** Whether users of a tenant can have a factor whose proofs are worth this. */
  readonly isSatisfiable: (tenantId: string, strength: EnforcementRuleRow["strength"]) => Promise<boolean>;
  /** How many of the users that are known have no factor that counts. */
  readonly countUnenrolled: (tenantId: string) => Promise<number>;
}

type Stated = Pick<EnforcementRuleRow, "description" | "selector" | "strength" | "graceMs" | "reportOnly">;

/** A rule to be made. */
export interface NewRule extends Stated {
  /** Undefined for now. */
  readonly startTime: Date | undefined;
  readonly reason: string;
}

/** A change of a rule; undefined leaves a part. */
export interface RuleChange {
  readonly ruleId: string;
  readonly version: number;
  readonly parts: { readonly [P in keyof Stated | "startTime" | "enabled"]: EnforcementRuleRow[P] | undefined };
  readonly reason: string;
}

/** Rules a tenant may have: each is looked at in every log-in. */
const MAX_RULES = 100;

const isEmpty = ({ everyone, roles, groups, applications }: EnforcementRuleRow["selector"]) =>
  !everyone && roles.length + groups.length + applications.length === 0;

const shown = ({
  tenantId: _,
  ruleId: __,
  createTime: ___,
  updateTime: ____,
  startTime,
  ...rule
}: EnforcementRuleRow) => ({
  ...rule,
  startTime: startTime.toISOString(),
});

async function record(
  tx: Tx,
  call: Call,
  verb: string,
  { reason, before, after }: { reason: string; before?: EnforcementRuleRow; after?: EnforcementRuleRow },
): Promise<void> {
  const owner = { tenantId: call.caller.tenantId, userId: "" };
  await recordAudit(tx, call, {
    owner,
    action: `enforcement_rule.${verb}`,
    targetId: (after ?? before)?.ruleId ?? "",
    reason,
    ...(before && { before: shown(before) }),
    ...(after && { after: shown(after) }),
  });
  await recordEvent(tx, call, { owner, type: "POLICY_CHANGED" });
}

const emptySelector = () => new Refusal("INVALID_FIELD", { metadata: { field: "selector" } });

/** Who must have a second factor, how strong, and from when. */
export function createEnforcementRules({ isSatisfiable, countUnenrolled }: EnforcementOptions) {
  return {
    /** Makes a rule, and says of how many users it asks to enrol at most. */
    async create(call: Call, { reason, startTime, ...stated }: NewRule) {
      const { tenantId } = call.caller;
      if (isEmpty(stated.selector)) return emptySelector();
      if (!(await isSatisfiable(tenantId, stated.strength))) return new Refusal("POLICY_UNSATISFIABLE");
      const times = { startTime: startTime ?? call.now, createTime: call.now, updateTime: call.now };
      const row = { ...stated, ...times, tenantId, ruleId: newId(), enabled: true, version: 1 };
      const unenrolled = await countUnenrolled(tenantId);
      return call.unit(async (tx) => {
        const rules = enforcementRepository(tx);
        // The chain's end is held from here on: of several at once each sees the one before.
        await record(tx, call, "created", { reason, after: row });
        if ((await rules.list(tenantId)).length >= MAX_RULES) throw new Refusal("LIMIT_REACHED");
        await rules.insert(row);
        return { row, unenrolled };
      });
    },

    /** Changes a rule, if nobody else has since `version`. Deadlines that users have stay. */
    async change(call: Call, { ruleId, version, parts, reason }: RuleChange): Promise<EnforcementRuleRow | Refusal> {
      const given = Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
      if (Object.keys(given).length === 0) return new Refusal("EMPTY_UPDATE");
      const { tenantId } = call.caller;
      if (parts.selector && isEmpty(parts.selector)) return emptySelector();
      if (parts.strength && !(await isSatisfiable(tenantId, parts.strength)))
        return new Refusal("POLICY_UNSATISFIABLE");
      return call.unit(async (tx) => {
        const rules = enforcementRepository(tx);
        const before = await rules.find({ tenantId, ruleId });
        if (!before) return new Refusal("NOT_FOUND");
        const row: EnforcementRuleRow = { ...before, ...given, version: version + 1, updateTime: call.now };
        if (!(await rules.update(row, version))) {
          const current = await rules.find({ tenantId, ruleId });
          return new Refusal("STALE_VERSION", { metadata: { version: String(current?.version ?? 0) } });
        }
        await record(tx, call, "updated", { reason, before, after: row });
        return row;
      });
    },

    /** Takes a rule away; users whom no other names are free at once. */
    remove: (call: Call, ruleId: string, reason: string): Promise<Refusal | undefined> =>
      call.unit(async (tx) => {
        const before = await enforcementRepository(tx).delete({ tenantId: call.caller.tenantId, ruleId });
        if (!before) return new Refusal("NOT_FOUND");
        await record(tx, call, "deleted", { reason, before });
        return undefined;
      }),

    find: (call: Call, ruleId: string): Promise<EnforcementRuleRow | undefined> =>
      call.unit((tx) => enforcementRepository(tx).find({ tenantId: call.caller.tenantId, ruleId })),

    /** Those of the caller's tenant, oldest first. */
    list: (call: Call): Promise<EnforcementRuleRow[]> =>
      call.unit((tx) => enforcementRepository(tx).list(call.caller.tenantId)),
  };
}

/** Who must have a second factor. */
export type EnforcementRules = ReturnType<typeof createEnforcementRules>;
