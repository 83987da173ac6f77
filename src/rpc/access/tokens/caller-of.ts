import { Principal } from "../../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../../core/caller.ts";
import type { Checked } from "./checks.ts";
import { acrOf, audiencesOf, authTimeOf, scopesOf, textAt } from "./claims.ts";

/** What reaches beyond the tenant of a token: scheduled tasks are every tenant's. */
const isOfInstallation = (scope: string): boolean => scope.startsWith("mfa.schedule.");

const secondsOf = (value: unknown): number => (typeof value === "number" ? value : 0);

/** The caller that a token stands for which has passed every check, and when it expires. */
export function callerOf({ claims, issuer }: Checked): { readonly caller: Caller; readonly expiresMs: number } {
  const { rules, operator } = issuer;
  const kinds = (audiencesOf(claims, rules) ?? []).flatMap((audience) => rules.audience.get(audience) ?? []);
  const exp = secondsOf(claims.exp);
  // An issuer that does not say when it issued a token cannot have done so earlier than a whole life ago.
  const iat = claims.iat === undefined ? exp - rules.maxLifetimeS : secondsOf(claims.iat);
  const caller: Caller = {
    principal: kinds[0] ?? Principal.UNSPECIFIED,
    tenantId: issuer.tenantId ?? (rules.claims.tenant && textAt(claims, rules.claims.tenant)) ?? "",
    subject: textAt(claims, rules.claims.subject) ?? "",
    acr: acrOf(claims, rules),
    authTime: authTimeOf(claims, rules),
    issueTime: new Date(iat * 1000),
    scopes: new Set(scopesOf(claims, rules).filter((scope) => operator || !isOfInstallation(scope))),
    sessionId: textAt(claims, rules.claims.session) ?? "",
  };
  return { caller, expiresMs: exp * 1000 };
}
