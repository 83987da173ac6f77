import type { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** The users of a rule: those that any part names. */
export interface Selector {
  readonly everyone: boolean;
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly applications: readonly string[];
}

/** Who must have a second factor. */
export const enforcementRules = (d: Dialect) =>
  d.table(
    "enforcement_rules",
    {
      tenantId: d.text("tenant_id").notNull(),
      ruleId: d.text("rule_id").notNull(),
      description: d.text("description").notNull(),
      selector: d.json<Selector>("selector").notNull(),
      /** What proofs have to be worth. */
      strength: d.text("strength").$type<keyof typeof AuthenticationStrength>().notNull(),
      /** How long enrollment may be put off, from the user's first log-in under the rule. */
      graceMs: d.counter("grace_ms").notNull(),
      /** From when it holds. */
      startTime: d.instant("start_time").notNull(),
      /** Whether it is only told what it would do. */
      reportOnly: d.boolean("report_only").notNull(),
      enabled: d.boolean("enabled").notNull(),
      /** Grows with every change, from 1. */
      version: d.counter("version").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.ruleId] })],
  );

/** Until when a user may put enrollment off under a rule: written at the first log-in under it, and never again. */
export const enforcementDeadlines = (d: Dialect) =>
  d.table(
    "enforcement_deadlines",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      ruleId: d.text("rule_id").notNull(),
      deadline: d.instant("deadline").notNull(),
      /** Whether the rule meant the user when they last logged in; without it the deadline stays, for the day it does again. */
      applies: d.boolean("applies").notNull(),
      createTime: d.instant("create_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.ruleId] }),
      d.index("enforcement_deadlines_by_rule").on(t.tenantId, t.ruleId),
    ],
  );

bindRows(
  enforcementRules,
  [
    ...(["tenantId", "ruleId", "description", "selector", "strength", "graceMs", "startTime", "reportOnly"] as const),
    ...(["enabled", "version", "createTime", "updateTime"] as const),
  ],
  {},
);

bindRows(enforcementDeadlines, ["tenantId", "userId", "ruleId", "deadline", "createTime"], {
  applies: "counts users; what is asked of one is worked out anew at each log-in",
});
