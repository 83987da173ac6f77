import { toJson } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import {
  MfaDecision,
  RiskLevel,
  type UpdateMfaRiskPolicyRequest,
  UpdateMfaRiskPolicyRequestSchema,
  type UpdateRiskPolicyRequest,
  UpdateRiskPolicyRequestSchema,
} from "../../gen/mfa/v1/risk_pb.js";
import type { Call } from "../core/call.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { originOf, signalOf } from "./log-in-messages.ts";
import { pageOfLevels } from "./policy-pages.ts";
import { defaults, LEVELS, type Level, type Requirement, weakens } from "./requirement.ts";
import type { RiskDecisions } from "./risk-decisions.ts";
import {
  decisionMessage,
  filterName,
  policyMessage,
  readLevel,
  readRequirement,
  readRequirements,
  requirementsMessage,
  transitionMessage,
} from "./risk-messages.ts";
import type { RiskPolicies } from "./risk-policies.ts";

/** What administrators do about risk. */
export function createRiskHandlers({
  policies,
  decisions,
  pageTokens,
}: {
  readonly policies: RiskPolicies;
  readonly decisions: RiskDecisions;
  readonly pageTokens: PageTokens;
}) {
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

    evaluateRisk: async ({ userId, client, deviceFingerprint, trustToken, signals, candidate, dryRun }, call) => {
      const seen = { client: originOf(client), fingerprint: deviceFingerprint, signals: signals.map(signalOf) };
      const levels = candidate && readRequirements(candidate);
      const owner = { tenantId: call.caller.tenantId, userId };
      const { row, types } = await decisions.evaluate(call, { owner, seen, trustToken, candidate: levels, dryRun });
      return { decision: decisionMessage(row), requiredFactorTypes: types.map((type) => FactorType[type]) };
    },

    listRiskDecisions: async ({ userId, level, decision, startTime, endTime, pageSize, pageToken }, call) => {
      const filter = JSON.stringify([userId, level, decision, startTime?.seconds, endTime?.seconds].map(String));
      const page = { position: pageTokens.read(call, pageToken, filter), size: pageSize || 50 };
      const asked = { level: filterName(level, RiskLevel), decision: filterName(decision, MfaDecision) };
      const times = {
        ...(startTime && { since: timestampDate(startTime) }),
        ...(endTime && { until: timestampDate(endTime) }),
      };
      const { rows, next } = await decisions.list(call, { userId, ...asked, ...times }, page);
      return { decisions: rows.map(decisionMessage), nextPageToken: pageTokens.write(call, next, filter) };
    },

    replayRiskDecisions: async ({ candidate, maxDecisions, maxExamples }, call) => {
      const limits = { most: maxDecisions || 1000, examples: maxExamples };
      const { judged, transitions, examples } = await decisions.replay(call, readRequirements(candidate), limits);
      return {
        judgedCount: BigInt(judged),
        transitions: transitions.map(transitionMessage),
        examples: examples.map(decisionMessage),
      };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  const weakensLevel = async (call: Call, level: Level, after: Requirement) =>
    weakens((await policies.find(call)).levels[level], after);

  /** What takes more than one administrator, where their tenant asks for two. */
  const guards = {
    updateRiskPolicy: {
      needsTwo: async (call: Call, { level, requirement, enabled }: UpdateRiskPolicyRequest) => {
        const own = requirement && readRequirement(requirement);
        const stated = own ?? (await policies.list(call)).find((one) => one.level === readLevel(level))?.requirement;
        const after = enabled === false || !stated ? defaults[readLevel(level)] : stated;
        return weakensLevel(call, readLevel(level), after);
      },
      describe: (request: UpdateRiskPolicyRequest) =>
        `Weaken a level of risk: ${JSON.stringify(toJson(UpdateRiskPolicyRequestSchema, request))}`,
    },
    deleteRiskPolicy: {
      needsTwo: (call: Call, { level }: { level: RiskLevel }) =>
        weakensLevel(call, readLevel(level), defaults[readLevel(level)]),
      describe: ({ level }: { level: RiskLevel }) => `Return the level ${RiskLevel[level]} to its default`,
    },
    updateMfaRiskPolicy: {
      needsTwo: async (call: Call, { policy }: UpdateMfaRiskPolicyRequest) => {
        const [{ levels }, after] = [await policies.find(call), readRequirements(policy)];
        return LEVELS.some((level) => weakens(levels[level], after[level]));
      },
      describe: (request: UpdateMfaRiskPolicyRequest) =>
        `Weaken the policy of risk: ${JSON.stringify(toJson(UpdateMfaRiskPolicyRequestSchema, request))}`,
    },
  };

  return { admin, guards };
}
