import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";
import type { RiskContribution } from "./assessment.ts";
import type { DecisionName, Posture } from "./decision.ts";
import type { Look } from "./history.ts";
import type { Level, Requirement } from "./requirement.ts";

/** What decides which rules mean a user. */
export interface Selected {
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly application: string;
}

/** Decisions about log-ins, with what they were made from: for those who ask why, and to try other policies on. */
export const riskDecisions = (d: Dialect) =>
  d.table(
    "risk_decisions",
    {
      tenantId: d.text("tenant_id").notNull(),
      decisionId: d.text("decision_id").notNull(),
      userId: d.text("user_id").notNull(),
      level: d.text("level").$type<Level>().notNull(),
      decision: d.text("decision").$type<DecisionName>().notNull(),
      reasons: d.json<readonly RiskContribution[]>("reasons").notNull(),
      /** What the level asked for. */
      requirement: d.json<Requirement>("requirement").notNull(),
      standing: d.json<Posture>("standing").notNull(),
      /** What the log-in looked like, until it goes through; null where none was under way. */
      look: d.json<Look>("look"),
      newDevice: d.boolean("new_device").notNull(),
      policyVersion: d.counter("policy_version").notNull(),
      ip: d.text("ip").notNull(),
      application: d.text("application").notNull(),
      /** The backend that asked, which alone may follow it; empty in rows from before this was kept. */
      requestedBy: d.text("requested_by").notNull().default(""),
      /** SHA-256 of the session to be, for which alone it may be followed; null where none was named. */
      sessionDigest: d.bytes("session_digest"),
      /** What the backend stated of the user, to ask the rules again; null where no log-in was under way, and in rows from before. */
      stated: d.json<Selected>("stated"),
      createTime: d.instant("create_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.decisionId] }),
      d.index("risk_decisions_by_time").on(t.tenantId, t.createTime, t.decisionId),
      d.index("risk_decisions_by_user").on(t.tenantId, t.userId, t.createTime, t.decisionId),
    ],
  );

bindRows(
  riskDecisions,
  [
    ...([
      "tenantId",
      "decisionId",
      "userId",
      "level",
      "decision",
      "reasons",
      "requirement",
      "standing",
      "look",
    ] as const),
    ...([
      "newDevice",
      "policyVersion",
      "ip",
      "application",
      "createTime",
      "sessionDigest",
      "requestedBy",
      "stated",
    ] as const),
  ],
  {},
);
