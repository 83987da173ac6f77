import { sql } from "drizzle-orm";
import { type RowOf, type WithMac, writing } from "../db/bound-rows.ts";
import { whereEquals } from "../db/conditions.ts";
import { deleteRows, select, setParams } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import type { Level } from "./requirement.ts";
import { riskPolicies, riskPolicyVersions } from "./risk-policies.table.ts";

/** A row of the table. */
export type RiskPolicyRow = RowOf<typeof riskPolicies>;

type Tenant = { readonly tenantId: string };
type Key = Tenant & { readonly level: Level };

const statements = {
  advance: statement((s: Building<Tenant>) => {
    const t = s.table(riskPolicyVersions);
    return s.db
      .insert(t)
      .values({ tenantId: s.param("tenantId", t.tenantId), version: 1 })
      .onConflictDoUpdate({ target: t.tenantId, set: { version: sql`${t.version} + 1` } })
      .returning({ version: t.version });
  }),
  version: select(riskPolicyVersions, whereEquals(riskPolicyVersions, "tenantId")),
  list: select(riskPolicies, whereEquals(riskPolicies, "tenantId")),
  put: writing(
    riskPolicies,
    statement((s: Building<WithMac<RiskPolicyRow>>) => {
      const t = s.table(riskPolicies);
      return s.db
        .insert(t)
        .values(s.row(t))
        .onConflictDoUpdate({
          target: [t.tenantId, t.level],
          set: {
            ...setParams(s, t, "requirement", "description", "enabled", "version", "updateTime", "boundMac"),
          },
        })
        .returning({ level: t.level });
    }),
  ),
  delete: deleteRows(riskPolicies, whereEquals(riskPolicies, "tenantId", "level")),
};

/** What tenants ask for by level of risk. */
export const riskPolicyRepository = (tx: Tx) => ({
  /** The next version of a tenant's policy, the first statement of its unit: changes of one tenant wait for each other. */
  advance: async (tenantId: string) => (await tx.run(statements.advance, { tenantId }))[0]?.version ?? 0,
  /** The present version; 0 where nobody has changed anything. */
  version: async (tenantId: string) => (await tx.run(statements.version, { tenantId }))[0]?.version ?? 0,
  /** The levels that were changed, in no order. */
  list: (tenantId: string) => tx.run(statements.list, { tenantId }),
  put: (row: RiskPolicyRow) => tx.run(statements.put, row),
  delete: async (key: Key) => (await tx.run(statements.delete, key))[0],
});
