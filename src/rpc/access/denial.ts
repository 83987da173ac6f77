import type { DescMethod } from "@bufbuild/protobuf";
import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import { inOwnName } from "../serve/call.ts";
import type { SentInfo } from "../serve/errors.ts";
import { type RpcPolicy, rpcPolicyOf } from "./policy.ts";

/** What a denied caller lacks: for operators who map claims, and in dev mode for the caller. */
export interface Denial {
  /** Names of kinds, scopes and claims, and spans of time. */
  readonly text: string;
  /** The scope that the credential does not have. */
  readonly missingScope?: string;
}

const nameOf = (principal: Principal) => Principal[principal].toLowerCase();
const namesOf = (principals: Iterable<Principal>) => [...principals].map(nameOf).join(" or ");

/** Why a caller is not allowed to call an RPC at all. */
function whyNot(caller: Caller, { principals, scope }: RpcPolicy): Denial | undefined {
  if (!principals.has(caller.principal)) {
    return { text: `the credential is of kind ${nameOf(caller.principal)}, and this is for ${namesOf(principals)}` };
  }
  if (!inOwnName.has(caller.principal) || caller.scopes.has(scope)) return undefined;
  return { text: `the scope ${scope} is missing`, missingScope: scope };
}

/** What a credential of a user or an administrator does not state, where it is asked for more. */
function whyStale({ acr, authTime }: Caller, required: string | undefined): Denial | undefined {
  if (required === "aal2" && acr !== "aal2") return { text: "aal2 is needed, and the credential states aal1" };
  return authTime === undefined
    ? { text: "the credential does not say when its subject authenticated (auth_time), so it never counts as fresh" }
    : undefined;
}

/** What a caller lacked whom authorization refused; undefined for refusals with another cause. */
export function denialOf(refused: SentInfo | undefined, method: DescMethod, caller: Caller): Denial | undefined {
  if (refused?.reason === "ACCESS_DENIED") return whyNot(caller, rpcPolicyOf(method));
  const isStale = refused?.reason === "INSUFFICIENT_USER_AUTHENTICATION";
  return isStale ? whyStale(caller, refused.metadata?.acr_values) : undefined;
}

/** Tells the caller, too, what they lacked: in dev mode only. */
export function explained(thrown: unknown, method: DescMethod, caller: Caller): unknown {
  if (!(thrown instanceof Refusal)) return thrown;
  const detail = denialOf(thrown, method, caller)?.text;
  const { reason, metadata } = thrown;
  return detail === undefined ? thrown : new Refusal(reason, { metadata: { ...metadata, detail }, detail });
}
