import { toJson } from "@bufbuild/protobuf";
import { durationFromMs, durationMs, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import {
  type EnforcementSelector,
  type UpdateEnforcementRuleRequest,
  UpdateEnforcementRuleRequestSchema,
} from "../../gen/mfa/v1/enforcement_pb.js";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import type { Call } from "../core/call.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { pageOf } from "../db/page.ts";
import type { EnforcementRuleRow } from "./enforcement.repository.ts";
import type { EnforcementRules } from "./enforcement-rules.ts";

const toProto = ({ tenantId: _, graceMs, ...row }: EnforcementRuleRow) => ({
  ...row,
  selector: {
    everyone: row.selector.everyone,
    roles: [...row.selector.roles],
    groups: [...row.selector.groups],
    applications: [...row.selector.applications],
  },
  strength: AuthenticationStrength[row.strength],
  gracePeriod: durationFromMs(graceMs),
  startTime: timestampFromDate(row.startTime),
  version: BigInt(row.version),
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
});

const strengthOf = (strength: AuthenticationStrength) =>
  AuthenticationStrength[strength] as EnforcementRuleRow["strength"]; // its rule admits defined values only

const selectorOf = (selector: EnforcementSelector | undefined) => ({
  everyone: selector?.everyone ?? false,
  roles: selector?.roles ?? [],
  groups: selector?.groups ?? [],
  applications: selector?.applications ?? [],
});

const partsOf = (request: UpdateEnforcementRuleRequest) => {
  const { description, selector, strength, gracePeriod, startTime, reportOnly, enabled } = request;
  return {
    ...{ description, reportOnly, enabled },
    selector: selector && selectorOf(selector),
    strength: strength === undefined ? undefined : strengthOf(strength),
    graceMs: gracePeriod && durationMs(gracePeriod),
    startTime: startTime && timestampDate(startTime),
  };
};

/** What administrators do about who must have a second factor. */
export function createEnforcementHandlers(rules: EnforcementRules, pageTokens: PageTokens) {
  const admin = {
    createEnforcementRule: async (request, call) => {
      const { description, reportOnly, reason, gracePeriod, startTime } = request;
      const created = await rules.create(call, {
        ...{ description, reportOnly, reason },
        selector: selectorOf(request.selector),
        strength: strengthOf(request.strength),
        graceMs: gracePeriod ? durationMs(gracePeriod) : 0,
        startTime: startTime && timestampDate(startTime),
      });
      if (created instanceof Refusal) return created;
      return { rule: toProto(created.row), unenrolledCount: BigInt(created.unable) };
    },

    getEnforcementRule: async ({ ruleId }, call) => {
      const row = await rules.find(call, ruleId);
      return row ? { rule: toProto(row) } : new Refusal("NOT_FOUND");
    },

    listEnforcementRules: async ({ pageSize, pageToken }, call) => {
      const position = pageTokens.read(call, pageToken);
      const at = (row: EnforcementRuleRow) => ({ time: row.createTime, id: row.ruleId });
      const { rows, next } = pageOf(await rules.list(call), position, pageSize || 50, at);
      return { rules: rows.map(toProto), nextPageToken: pageTokens.write(call, next) };
    },

    updateEnforcementRule: async (request, call) => {
      const { ruleId, reason } = request;
      const parts = partsOf(request);
      const changed = await rules.change(call, { ruleId, version: Number(request.version), parts, reason });
      if (changed instanceof Refusal) return changed;
      return { rule: toProto(changed.row), unenrolledCount: BigInt(changed.unable) };
    },

    deleteEnforcementRule: async ({ ruleId, reason }, call) => (await rules.remove(call, ruleId, reason)) ?? {},
  } satisfies Handlers<typeof AdminMfaService>;

  /** What takes more than one administrator, where their tenant asks for two. */
  const guards = {
    updateEnforcementRule: {
      needsTwo: (call: Call, request: UpdateEnforcementRuleRequest) =>
        rules.weakens(call, { ruleId: request.ruleId, parts: partsOf(request) }),
      describe: (request: UpdateEnforcementRuleRequest) =>
        `Weaken rule ${request.ruleId}: ${JSON.stringify(toJson(UpdateEnforcementRuleRequestSchema, request))}`,
    },
    deleteEnforcementRule: {
      needsTwo: async () => true,
      describe: ({ ruleId }: { ruleId: string }) => `Delete rule ${ruleId}`,
    },
  };

  return { admin, guards };
}
