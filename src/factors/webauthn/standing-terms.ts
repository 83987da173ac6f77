import { Refusal } from "../../core/refusal.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { termsFor } from "./relying-party.ts";
import type { CredentialRow } from "./webauthn.repository.ts";

/** What of a credential the tenant's terms look at. */
export type Judged = Pick<CredentialRow, "rpId" | "backupEligible" | "attachment" | "attested" | "aaguid">;

/**
 * The tenant's setting that no longer admits a registered credential; undefined while all do. The same terms as at its
 * registration, as they are now: a list of models admits only credentials whose model was proven.
 */
export function refusedBy(credential: Judged, settings: EffectiveSettings): string | undefined {
  const terms = termsFor(settings, { rpId: credential.rpId });
  if (terms instanceof Refusal) return "webauthn.rp_ids";
  const { rpId: _, backupEligible, attachment, attested, aaguid } = credential;
  const breaks: readonly (readonly [setting: string, isBroken: boolean])[] = [
    ["deny_synced", terms.denySynced && backupEligible],
    ["attachment", terms.attachment !== "" && attachment !== "" && attachment !== terms.attachment],
    ["attestation", terms.attested && !attested],
    ["allowed_aaguids", terms.allowedModels.size > 0 && !terms.allowedModels.has(aaguid)],
    ["denied_aaguids", terms.deniedModels.has(aaguid)],
  ];
  const [setting] = breaks.find(([, isBroken]) => isBroken) ?? [];
  return setting && `webauthn.${setting}`;
}
