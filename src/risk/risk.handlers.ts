import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision, RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Handlers } from "../rpc/service.ts";
import { originOf, signalOf } from "./log-in-messages.ts";
import { pageOfLevels } from "./policy-pages.ts";
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

  return { admin };
}
