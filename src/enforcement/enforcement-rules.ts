import { isDeepStrictEqual } from "node:util";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { type EnforcementRuleRow, enforcementRepository } from "./enforcement.repository.ts";

/** Dependencies of rules. */
export interface EnforcementOptions {
  /** Why a rule that a unit has written cannot be met by anybody, with the settings and levels that the unit sees. */
  readonly refuse: (tx: Tx, rule: EnforcementRuleRow) => Promise<Refusal | undefined>;
  /** How many of the users that are known cannot meet a strength at present. */
  readonly countUnable: (tenantId: string, strength: EnforcementRuleRow["strength"]) => Promise<number>;
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
export function createEnforcementRules({ refuse, countUnable }: EnforcementOptions) {
  /** Throws, and so undoes the change, where nobody could meet the rule. The unit holds the end of the audit chain. */
  const requireSatisfiable = async (tx: Tx, row: EnforcementRuleRow): Promise<void> => {
    const refused = await refuse(tx, row);
    if (refused) throw refused;
  };

  return {
    /** Makes a rule, and says of how many users it asks to enroll at most. */
    async create(call: Call, { reason, startTime, ...stated }: NewRule) {
      const { tenantId } = call.caller;
      if (isEmpty(stated.selector)) return emptySelector();
      const times = { startTime: startTime ?? call.now, createTime: call.now, updateTime: call.now };
      const row = { ...stated, ...times, tenantId, ruleId: newId(), enabled: true, version: 1 };
      const unable = await countUnable(tenantId, stated.strength);
      return call.unit(async (tx) => {
        const rules = enforcementRepository(tx);
        // The chain's end is held from here on: of several at once each sees the one before.
        await record(tx, call, "created", { reason, after: row });
        if ((await rules.list(tenantId)).length >= MAX_RULES) throw new Refusal("LIMIT_REACHED");
        await rules.insert(row);
        await requireSatisfiable(tx, row);
        return { row, unable };
      });
    },

    /** Changes a rule, if nobody else has since `version`. Deadlines that users have stay. */
    async change(call: Call, { ruleId, version, parts, reason }: RuleChange) {
      const given = Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
      if (Object.keys(given).length === 0) return new Refusal("EMPTY_UPDATE");
      const { tenantId } = call.caller;
      if (parts.selector && isEmpty(parts.selector)) return emptySelector();
      const row = await call.unit(async (tx): Promise<EnforcementRuleRow | Refusal> => {
        const rules = enforcementRepository(tx);
        const before = await rules.find({ tenantId, ruleId });
        if (!before) return new Refusal("NOT_FOUND");
        const changed: EnforcementRuleRow = { ...before, ...given, version: version + 1, updateTime: call.now };
        const isSame = isDeepStrictEqual(shown({ ...changed, version: before.version }), shown(before));
        if (isSame && before.version === version) return new Refusal("EMPTY_UPDATE");
        if (!(await rules.update(changed, version))) {
          const current = await rules.find({ tenantId, ruleId });
          return new Refusal("STALE_VERSION", { metadata: { version: String(current?.version ?? 0) } });
        }
        await record(tx, call, "updated", { reason, before, after: changed });
        // What it is called asks nothing of anybody.
        if (Object.keys(given).some((part) => part !== "description")) await requireSatisfiable(tx, changed);
        return changed;
      });
      return row instanceof Refusal ? row : { row, unable: await countUnable(tenantId, row.strength) };
    },

    /** Whether a change asks for less of somebody than the rule does at present. */
    weakens: (call: Call, { ruleId, parts }: Pick<RuleChange, "ruleId" | "parts">): Promise<boolean> =>
      call.read(async (tx) => {
        const rule = await enforcementRepository(tx).find({ tenantId: call.caller.tenantId, ruleId });
        if (!rule?.enabled || rule.reportOnly) return false;
        const { enabled = true, reportOnly = false, strength = rule.strength, selector } = parts;
        const { graceMs = rule.graceMs, startTime = rule.startTime } = parts;
        const isWeaker = AuthenticationStrength[strength] < AuthenticationStrength[rule.strength];
        const isLater = graceMs > rule.graceMs || startTime > rule.startTime;
        return !enabled || reportOnly || isWeaker || isLater || (selector !== undefined && !selector.everyone);
      }),

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
