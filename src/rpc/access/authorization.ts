import { Acr, Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import type { RpcPolicy } from "./policy.ts";

/** Whether a user holds an enrolled factor, computed from live rows, never from a cached flag. */
export type IsEnrolled = (caller: Caller) => Promise<boolean>;

/** How far an issuer's clock may be ahead of ours. */
export const SKEW_MS = 30_000;

/** Whether a refusal asks for a fresher or stronger authentication. */
export const asksForStepUp = (thrown: unknown): thrown is Refusal =>
  thrown instanceof Refusal && thrown.reason === "INSUFFICIENT_USER_AUTHENTICATION";

/** The refusal that asks for a fresher or stronger authentication (RFC 9470). */
export function stepUp(acr: "aal1" | "aal2", { maxAgeMs }: RpcPolicy): Refusal {
  const age: Record<string, string> = maxAgeMs === undefined ? {} : { max_age: String(maxAgeMs / 1000) };
  return new Refusal("INSUFFICIENT_USER_AUTHENTICATION", { metadata: { acr_values: acr, ...age } });
}

async function requiredAcr(policy: RpcPolicy, caller: Caller, isEnrolled: IsEnrolled): Promise<"aal1" | "aal2"> {
  if (policy.acr === Acr.AAL1) return "aal1";
  if (policy.acr === Acr.AAL2 || caller.acr === "aal2") return "aal2";
  return (await isEnrolled(caller)) ? "aal2" : "aal1";
}

/**
 * Throws the refusal unless the caller satisfies the policy. A caller without permission does not learn what is needed.
 */
export async function authorize(caller: Caller, policy: RpcPolicy, now: Date, isEnrolled: IsEnrolled): Promise<void> {
  if (!policy.principals.has(caller.principal)) throw new Refusal("ACCESS_DENIED");
  const scoped = caller.principal === Principal.ADMIN || caller.principal === Principal.SERVICE;
  if (scoped && !caller.scopes.has(policy.scope)) throw new Refusal("ACCESS_DENIED");
  if (caller.principal !== Principal.USER && caller.principal !== Principal.ADMIN) return;

  const acr = await requiredAcr(policy, caller, isEnrolled);
  if (acr === "aal2" && caller.acr !== "aal2") throw stepUp("aal2", policy);
  if (policy.maxAgeMs === undefined) return;
  const age = now.getTime() - (caller.authTime?.getTime() ?? Number.NaN);
  // Written so that an absent, an invalid and a future time are all not fresh.
  if (!(age >= -SKEW_MS && age <= policy.maxAgeMs)) throw stepUp(acr, policy);
}
