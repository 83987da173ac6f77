import { type DescMethod, type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Access, Acr, access, audited, Principal } from "../../../gen/mfa/v1/options_pb.js";

/** The policy of one RPC, read once from its options in the proto. */
export interface RpcPolicy {
  readonly principals: ReadonlySet<Principal>;
  readonly acr: Acr;
  readonly maxAgeMs: number | undefined;
  readonly scope: string;
  readonly audited: boolean;
}

const policies = new Map<DescMethod, RpcPolicy>();

function read(method: DescMethod): RpcPolicy {
  const incomplete = (what: string) => new Error(`${method.parent.typeName}/${method.name}: (mfa.v1.access) ${what}`);
  if (!hasOption(method, access)) throw incomplete("is missing");
  const { principals, acr, maxAge, scope }: Access = getOption(method, access);
  if (principals.length === 0 || principals.includes(Principal.UNSPECIFIED)) throw incomplete("names no principal");
  const withLevel = principals.some((p) => p === Principal.USER || p === Principal.ADMIN);
  if (withLevel && acr === Acr.UNSPECIFIED) throw incomplete("names no acr for users or administrators");
  const withScope = principals.some((p) => p === Principal.SERVICE || p === Principal.ADMIN);
  if (withScope && scope === "") throw incomplete("names no scope for services or administrators");
  const others = principals.some((p) => p !== Principal.USER && p !== Principal.TICKET);
  if (acr === Acr.AAL2_IF_ENROLLED && others) throw incomplete("asks others than users for their factors");
  return {
    principals: new Set(principals),
    acr,
    maxAgeMs: maxAge && durationMs(maxAge),
    scope,
    audited: getOption(method, audited),
  };
}

/** The policy of an RPC. Throws for one without complete options: default deny begins at start. */
export function rpcPolicyOf(method: DescMethod): RpcPolicy {
  let policy = policies.get(method);
  if (!policy) {
    policy = read(method);
    policies.set(method, policy);
  }
  return policy;
}

/**
 * Reads the policy of every RPC, so that an incomplete one stops the start instead of a call. Returns the scopes that RPCs
 * ask for.
 */
export function requirePolicies(services: readonly DescService[]): { readonly scopes: ReadonlySet<string> } {
  const policies = services.flatMap(({ methods }) => methods.map(rpcPolicyOf));
  return { scopes: new Set(policies.flatMap(({ scope }) => scope || [])) };
}
