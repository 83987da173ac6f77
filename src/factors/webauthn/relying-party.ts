import { AttestationPolicy } from "../../../gen/mfa/v1/tenant_settings_pb.js";
import { type WebAuthnAttachment, WebAuthnRequirement } from "../../../gen/mfa/v1/webauthn_pb.js";
import { Refusal } from "../../core/refusal.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import type { Insistence } from "./webauthn.table.ts";

/** What a ceremony may be asked for beside the tenant's terms. */
export interface Wishes {
  /** Empty takes the tenant's first. */
  readonly rpId: string;
  readonly userVerification?: WebAuthnRequirement;
  readonly discoverable?: WebAuthnRequirement;
  readonly attachment?: WebAuthnAttachment;
}

/** The tenant's terms for one ceremony. */
export interface CeremonyTerms {
  readonly rpId: string;
  readonly rpName: string;
  readonly origins: readonly string[];
  readonly userVerification: Insistence;
  readonly discoverable: Insistence;
  /** Empty admits both. */
  readonly attachment: "" | "platform" | "cross-platform";
  /** Whether a new authenticator must prove its model: a list of models is worth nothing without. */
  readonly attested: boolean;
  readonly allowedModels: ReadonlySet<string>;
  readonly deniedModels: ReadonlySet<string>;
  readonly denySynced: boolean;
  readonly passkeyAlone: boolean;
  readonly maxCredentials: number;
}

const levels = ["preferred", "discouraged", "preferred", "required"] as const;
const attachments = ["", "platform", "cross-platform"] as const;
const order: readonly Insistence[] = ["discouraged", "preferred", "required"];

const insistence = (requirement = WebAuthnRequirement.UNSPECIFIED): Insistence => levels[requirement];

/** The stricter of two. */
export const stricter = (a: Insistence, b: Insistence): Insistence => (order.indexOf(a) < order.indexOf(b) ? b : a);

const forbids = (policy: string) => new Refusal("POLICY_FORBIDS", { metadata: { policy: `webauthn.${policy}` } });

/** The origins of a tenant: those it lists, or else the secure one of each relying party. */
export const originsOf = ({
  rpIds,
  origins,
}: Pick<EffectiveSettings["webauthn"], "rpIds" | "origins">): readonly string[] =>
  origins.length > 0 ? origins : rpIds.map((rpId) => `https://${rpId}`);

/** The terms for what is asked, or POLICY_FORBIDS with the term that does not admit it. */
export function termsFor({ webauthn, totp }: EffectiveSettings, wishes: Wishes): CeremonyTerms | Refusal {
  const rpId = wishes.rpId || webauthn.rpIds[0];
  if (rpId === undefined || !webauthn.rpIds.includes(rpId)) return forbids("rp_ids");
  const [fixed, wished] = [attachments[webauthn.attachment], attachments[wishes.attachment ?? 0]];
  if (fixed && wished && fixed !== wished) return forbids("attachment");
  const asked = insistence(wishes.discoverable);
  const tenants = insistence(webauthn.discoverable);
  const isAsked = wishes.discoverable !== undefined && wishes.discoverable !== WebAuthnRequirement.UNSPECIFIED;
  const verification = insistence(webauthn.userVerification);
  return {
    rpId,
    rpName: totp.issuer,
    origins: originsOf(webauthn),
    userVerification: wishes.userVerification
      ? stricter(verification, insistence(wishes.userVerification))
      : verification,
    discoverable: isAsked && tenants !== "required" ? asked : tenants,
    attachment: fixed || wished,
    attested:
      webauthn.attestation === AttestationPolicy.REQUIRED ||
      webauthn.allowedAaguids.length + webauthn.deniedAaguids.length > 0,
    allowedModels: new Set(webauthn.allowedAaguids.map((aaguid) => aaguid.toLowerCase())),
    deniedModels: new Set(webauthn.deniedAaguids.map((aaguid) => aaguid.toLowerCase())),
    denySynced: webauthn.denySynced,
    passkeyAlone: webauthn.passkeyAlone,
    maxCredentials: webauthn.maxCredentials,
  };
}
