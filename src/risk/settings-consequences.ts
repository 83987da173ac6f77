import type { Store } from "../db/store.ts";
import type { Factor } from "../factors/factor.ts";
import type { SettingsConsequences } from "../tenant-settings/tenant-settings.ts";
import type { PolicyWarnings } from "./policy-warnings.ts";
import { conflictsOf, factorPolicyOf, unsatisfiable } from "./satisfiable.ts";

/** What a change of settings means for the policy that is there, and for users. */
export const createSettingsConsequences = ({
  store,
  factors,
  warnings,
}: {
  readonly store: Store;
  readonly factors: readonly Factor[];
  readonly warnings: PolicyWarnings;
}): SettingsConsequences => ({
  async refuse(tx, tenantId, { before, after }) {
    const policy = await factorPolicyOf(tx, tenantId, after);
    return unsatisfiable(conflictsOf(policy, factors), conflictsOf({ ...policy, settings: before }, factors));
  },
  async warningsOf(tenantId, { before, after }) {
    const policy = await store.read((tx) => factorPolicyOf(tx, tenantId, after));
    return warnings.ofSettings(tenantId, before, policy);
  },
});
