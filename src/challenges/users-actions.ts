import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { ActionContent } from "../client/action-digest.ts";
import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { templateOf } from "./actions.ts";

/** The most UTF-16 code units that a value of a user's action has: a payee's name by SEPA is 70 characters long. */
const MAX_VALUE = 80;
/** Letters with more marks than this overlap the lines around them. */
const MAX_MARKS = 2;

/** Whether a text has characters that hide, reorder or break what stands beside them. */
const isDisguised = (text: string): boolean =>
  /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u.test(text) ||
  new RegExp(`\\p{M}{${MAX_MARKS + 1}}`, "u").test(text.normalize("NFD"));

/** What programs that show a text turn into a link of it, after Unicode's normalisation of full-width forms (UTS #46). */
const links: readonly RegExp[] = [
  /\/\/|\bwww\./i,
  /\b(?:https?|ftp|mailto|tel|sms|facetime|geo|market|intent|javascript|data):/i,
  /\S@\S/,
  // A name under a top-level domain, with or without a path, and an address of IPv4.
  /[\p{L}\p{N}]\.(?:\p{L}{2}|xn--)/iu,
  /\b\d{1,3}(?:\.\d{1,3}){3}\b/,
];
const hasLink = (text: string): boolean => {
  const plain = text.normalize("NFKC").replaceAll(/[\u3002\uff61]/g, ".");
  return links.some((link) => link.test(plain));
};

/** Whether a value may stand in the tenant's text where a user's token brought it. */
export const isPlainValue = (value: string): boolean =>
  value.length <= MAX_VALUE && !isDisguised(value) && !hasLink(value);

const ownRpcs = new Set([...MfaService.methods, ...AdminMfaService.methods].map(({ name }) => name));

/** The one kind of action that needs no template: an RPC of this service, by its name. */
const isOwnRpc = ({ type, parameters }: ActionContent): boolean =>
  type === "mfa.rpc" && Object.keys(parameters).join() === "name" && ownRpcs.has(parameters.name ?? "");

/**
 * Refuses an action that a user's token brings and that is more than values of the tenant's own text. Whoever has the
 * first factor has such a token, and would otherwise write on the victim's phone. Backends may say what they like.
 */
export function refuseAction(caller: Caller, action: ActionContent | undefined, settings: EffectiveSettings) {
  if (!action || caller.principal === Principal.SERVICE || isOwnRpc(action)) return undefined;
  if (!templateOf(action, settings)) return new Refusal("POLICY_FORBIDS", { metadata: { policy: "action_templates" } });
  const odd = Object.entries(action.parameters).find(([, value]) => !isPlainValue(value));
  return odd && new Refusal("INVALID_FIELD", { metadata: { field: `action.parameters.${odd[0]}` } });
}
