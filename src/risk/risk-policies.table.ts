import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";
import type { Level, Requirement } from "./requirement.ts";

/** What tenants ask for at a level of risk, where it is not the default. */
export const riskPolicies = (d: Dialect) =>
  d.table(
    "risk_policies",
    {
      tenantId: d.text("tenant_id").notNull(),
      level: d.text("level").$type<Level>().notNull(),
      policyId: d.text("policy_id").notNull(),
      requirement: d.json<Requirement>("requirement").notNull(),
      description: d.text("description").notNull(),
      /** Whether it is applied; else the default is. */
      enabled: d.boolean("enabled").notNull(),
      /** The version of the tenant's policy as a whole that brought it: never given twice, also after a deletion. */
      version: d.counter("version").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.level] })],
  );

/** Counts the changes of a tenant's risk policy, all levels together; no row before the first. */
export const riskPolicyVersions = (d: Dialect) =>
  d.table("risk_policy_versions", {
    tenantId: d.text("tenant_id").primaryKey(),
    version: d.counter("version").notNull(),
  });

bindRows(riskPolicies, ["tenantId", "level", "requirement", "description", "enabled", "version", "updateTime"], {
  policyId: "a name for lists",
  createTime: "shown, and asked nowhere",
});
