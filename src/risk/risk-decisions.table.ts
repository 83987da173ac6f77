import type { Dialect } from "../db/dialect.ts";
import type { Reason } from "./assessment.ts";
import type { Outcome, Standing } from "./decision.ts";
import type { Look } from "./history.ts";
import type { Level, Requirement } from "./requirement.ts";

/** Decisions about log-ins, with what they were made from: for those who ask why, and to try other policies on. */
export const riskDecisions = (d: Dialect) =>
  d.table(
    "risk_decisions",
    {
      tenantId: d.text("tenant_id").notNull(),
      decisionId: d.text("decision_id").notNull(),
      userId: d.text("user_id").notNull(),
      level: d.text("level").$type<Level>().notNull(),
      decision: d.text("decision").$type<Outcome>().notNull(),
      reasons: d.json<readonly Reason[]>("reasons").notNull(),
      /** What the level asked for. */
      requirement: d.json<Requirement>("requirement").notNull(),
      standing: d.json<Standing>("standing").notNull(),
      /** What the log-in looked like, until it goes through; null where none was under way. */
      look: d.json<Look>("look"),
      newDevice: d.boolean("new_device").notNull(),
      policyVersion: d.counter("policy_version").notNull(),
      ip: d.text("ip").notNull(),
      application: d.text("application").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.decisionId] }),
      d.index("risk_decisions_by_time").on(t.tenantId, t.createTime, t.decisionId),
      d.index("risk_decisions_by_user").on(t.tenantId, t.userId, t.createTime),
    ],
  );
