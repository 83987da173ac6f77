import { AuthenticationStrength, type FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import type { EngineUnderTest } from "../engine/engines.ts";
import { type ServiceUnderTest, type Started, serviceForTest } from "./service.ts";

/** What an administrator of risk may do. */
export const RISK_SCOPES = "mfa.read mfa.policy.write mfa.audit.read mfa.ip.write mfa.settings.write";

/** A policy administrator of a tenant. */
export const policyAdmin = (service: ServiceUnderTest, tenant = "dev") =>
  service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: RISK_SCOPES, tenant });

/** Asks for one of these groups of kinds. */
export const anyOf = (...groups: FactorType[][]) => ({ anyOf: groups.map((allOf) => ({ allOf })) });

const { ANY_FACTOR } = AuthenticationStrength;

/** The levels as nobody has set them. */
export const DEFAULTS = {
  lowRisk: { strength: ANY_FACTOR, allowTrusted: true },
  mediumRisk: { strength: ANY_FACTOR },
  highRisk: { strength: ANY_FACTOR },
};

/** A service with an administrator of its risk policy. */
export async function riskService(engine: EngineUnderTest, started: Started = {}) {
  const service = await serviceForTest(engine, started);
  const token = (tenant?: string) => policyAdmin(service, tenant);
  return {
    ...service,
    token,
    levels: async (tenant?: string) => (await service.admin.listRiskPolicies({}, await token(tenant))).policies,
    change: async (request: object, tenant?: string) => service.admin.updateRiskPolicy(request, await token(tenant)),
    replace: async (request: object, tenant?: string) =>
      service.admin.updateMfaRiskPolicy(request, await token(tenant)),
    whole: async (tenant?: string) => service.admin.getMfaRiskPolicy({}, await token(tenant)),
    judge: async (request: object, tenant?: string) =>
      service.admin.evaluateRisk({ userId: "ann", client: { ip: "203.0.113.7" }, ...request }, await token(tenant)),
    decisions: async (request: object = {}, tenant?: string) =>
      (await service.admin.listRiskDecisions(request, await token(tenant))).decisions,
    reset: async (level: number, tenant?: string) =>
      (await service.admin.deleteRiskPolicy({ level, reason: "undone" }, await token(tenant))).policy,
  };
}
