import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Handlers } from "../rpc/service.ts";
import { pageOfLevels } from "./policy-pages.ts";
import { policyMessage, readLevel, readRequirement, readRequirements, requirementsMessage } from "./risk-messages.ts";
import type { RiskPolicies } from "./risk-policies.ts";

/** What administrators do about risk. */
export function createRiskHandlers({ policies, pageTokens }: { policies: RiskPolicies; pageTokens: PageTokens }) {
  const admin = {
    listRiskPolicies: async ({ pageSize, pageToken }, call) => {
      const position = pageTokens.read(call, pageToken);
      const { rows, next } = pageOfLevels(await policies.list(call), position, pageSize || 50);
      return { policies: rows.map(policyMessage), nextPageToken: pageTokens.write(call, next) };
    },

    updateRiskPolicy: async ({ level, requirement, description, enabled, version, reason }, call) => {
      const asked = requirement && readRequirement(requirement);
      const change = { requirement: asked, description, enabled, version: Number(version), reason };
      const changed = await policies.change(call, { level: readLevel(level), ...change });
      if (changed instanceof Refusal) return changed;
      return { policy: policyMessage(changed.policy), warnings: changed.warnings };
    },

    deleteRiskPolicy: async ({ level, reason }, call) => ({
      policy: policyMessage(await policies.reset(call, readLevel(level), reason)),
    }),

    getMfaRiskPolicy: async (_request, call) => {
      const { levels, version } = await policies.find(call);
      return { policy: requirementsMessage(levels), version: BigInt(version) };
    },

    updateMfaRiskPolicy: async ({ policy, version, reason }, call) => {
      const levels = readRequirements(policy);
      const replaced = await policies.replace(call, { levels, version: Number(version), reason });
      if (replaced instanceof Refusal) return replaced;
      const { warnings } = replaced;
      return { policy: requirementsMessage(replaced.levels), version: BigInt(replaced.version), warnings };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}
