import { durationMs } from "@bufbuild/protobuf/wkt";
import { ChallengePurpose, type ChallengeTerms } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { sessionDigest } from "../core/session-digest.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { keptOf, needsBinding } from "./actions.ts";
import type { ChallengeRow } from "./challenges.repository.ts";
import type { TypeName } from "./challenges.table.ts";

/** What a challenge is to prove and to whom: the columns of its row that never change. */
export type TermColumns = Pick<
  ChallengeRow,
  | "purpose"
  | "createdBy"
  | "sessionDigest"
  | "audience"
  | "nonce"
  | "actionType"
  | "actionDigest"
  | "renderedAction"
  | "allowedTypes"
  | "strength"
  | "requiresBinding"
  | "decisionId"
  | "promptId"
  | "groups"
> & { readonly lifetimeMs: number };

const LIFETIME_MS = 5 * 60_000;

/** A kind of factor by its name; undefined for none. */
export const typeName = (type: FactorType): TypeName | undefined => {
  const name = FactorType[type] as keyof typeof FactorType | undefined;
  return name === "UNSPECIFIED" ? undefined : name;
};

/** A purpose by its name; undefined for none. */
export const purposeName = (purpose: ChallengePurpose): TermColumns["purpose"] | undefined => {
  const name = ChallengePurpose[purpose] as keyof typeof ChallengePurpose | undefined;
  return name === "UNSPECIFIED" ? undefined : name;
};

const wrong = (field: string) => new Refusal("INVALID_FIELD", { metadata: { field } });

/** The session and the audience: a backend's own by default, and for users those of their token. */
function parties(call: Call, { sessionId, audience }: Pick<ChallengeTerms, "sessionId" | "audience">) {
  const { principal, subject, sessionId: own } = call.caller;
  if (principal === Principal.SERVICE) return { createdBy: subject, sessionId, audience: audience || subject };
  // Of another session it could not be read again, and an assertion without an audience would be everybody's.
  if (sessionId !== "" && sessionId !== own) return wrong("terms.session_id");
  if (audience === "") return wrong("terms.audience");
  return { createdBy: "", sessionId: own, audience };
}

/** Reads what a caller asks for, with what the tenant adds to it. */
export function readTerms(call: Call, terms: ChallengeTerms, settings: EffectiveSettings): TermColumns | Refusal {
  const party = parties(call, terms);
  if (party instanceof Refusal) return party;
  const { action, nonce, strength, lifetime, requireAuthenticatorBinding } = terms;
  return {
    purpose: purposeName(terms.purpose) ?? "STEP_UP",
    createdBy: party.createdBy,
    audience: party.audience,
    sessionDigest: sessionDigest(party.sessionId),
    nonce,
    ...keptOf(action, settings),
    allowedTypes: terms.allowedFactorTypes.flatMap((type) => typeName(type) ?? []),
    strength: AuthenticationStrength[strength] as keyof typeof AuthenticationStrength,
    requiresBinding: requireAuthenticatorBinding || (action !== undefined && needsBinding(action, settings)),
    ...{ decisionId: "", promptId: "", groups: null },
    lifetimeMs: lifetime ? durationMs(lifetime) : LIFETIME_MS,
  };
}
