import type { Tx } from "../db/store.ts";
import { defaults, type Level, type Requirements } from "./requirement.ts";
import { type RiskPolicyRow, riskPolicyRepository } from "./risk-policies.repository.ts";

/** What is in force for a tenant. */
export interface PolicyInForce {
  readonly levels: Requirements;
  readonly version: number;
}

/** What each level asks for by its row; without one, or with one that is disabled, by default. */
export const requirementsFrom = (rows: readonly RiskPolicyRow[]): Requirements => {
  const of = (level: Level) => rows.find((row) => row.level === level && row.enabled)?.requirement ?? defaults[level];
  return { LOW: of("LOW"), MEDIUM: of("MEDIUM"), HIGH: of("HIGH") };
};

/** What a tenant's levels ask for at present, and the version that says so. */
export async function policyInForce(tx: Tx, tenantId: string): Promise<PolicyInForce> {
  const policies = riskPolicyRepository(tx);
  return { levels: requirementsFrom(await policies.list(tenantId)), version: await policies.version(tenantId) };
}
