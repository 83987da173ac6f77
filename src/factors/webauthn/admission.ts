import { leadsTo } from "./certificate-chain.ts";
import type { Metadata } from "./metadata.ts";
import type { CeremonyTerms } from "./relying-party.ts";
import type { Registered } from "./verification.ts";
import type { Insistence } from "./webauthn.table.ts";

/** What was asked of the authenticator when its registration started, or is by now. */
export interface RequestedTerms {
  readonly attachment: string;
  readonly discoverable: Insistence;
}

/** Whether a new authenticator is admitted: the term that refuses it, or whether its model is proven. */
export type Admission = { readonly refusedBy: string } | { readonly attested: boolean };

const refusedBy = (term: string): Admission => ({ refusedBy: `webauthn.${term}` });

/** Holds an authenticator that works against the terms of its tenant. What the browser said of it is not signed. */
export function admit(
  registered: Registered,
  terms: CeremonyTerms,
  asked: RequestedTerms,
  metadata: Metadata | undefined,
  now: Date,
): Admission {
  if (terms.denySynced && registered.backupEligible) return refusedBy("deny_synced");
  const isElsewhere = registered.attachment !== "" && registered.attachment !== asked.attachment;
  if (asked.attachment && isElsewhere) return refusedBy("attachment");
  if (asked.discoverable === "required" && registered.discoverable === false) return refusedBy("discoverable");
  if (!terms.attested) return { attested: false };

  const { aaguid, certificates } = registered;
  const model = metadata?.find(aaguid);
  if (!model || model.compromised || !leadsTo(model.anchors, certificates, now)) return refusedBy("attestation");
  if (terms.allowedModels.size > 0 && !terms.allowedModels.has(aaguid)) return refusedBy("allowed_aaguids");
  if (terms.deniedModels.has(aaguid)) return refusedBy("denied_aaguids");
  return { attested: true };
}
