import { create } from "@bufbuild/protobuf";
import {
  AttestationPolicy,
  BackupCodePolicy,
  FraudMode,
  LockProfile,
  type TenantSettings,
  TenantSettingsSchema,
} from "../../gen/mfa/v1/tenant_settings_pb.js";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { WebAuthnRequirement } from "../../gen/mfa/v1/webauthn_pb.js";

type Group = Exclude<keyof TenantSettings, "version" | "updateTime" | "lockProfile" | `$${string}`>;

/** A tenant's settings with every group there and every default filled in. Shared by all who read it: never changed. */
export type EffectiveSettings = TenantSettings & { readonly [G in Group]-?: NonNullable<TenantSettings[G]> };

/** The settings in force for a tenant, at most a second old: what features take. */
export type SettingsOf = (tenantId: string) => Promise<EffectiveSettings>;

/** What the configuration file says of tenants. */
export interface FileSettings {
  /** The name that authenticator apps show. */
  readonly totpIssuer: string;
  /** For passkeys: the first relying party is the default. */
  readonly webauthn: { readonly rpIds: readonly string[]; readonly origins: readonly string[] };
}

const days = (n: number) => ({ seconds: BigInt(n * 86_400) });

/**
 * What holds for a tenant that says nothing, as the contract has it. Lists whose emptiness means something are empty
 * here, since an empty one takes what is here.
 */
export const defaultsOf = ({ totpIssuer, webauthn }: FileSettings): EffectiveSettings =>
  create(TenantSettingsSchema, {
    totp: { issuer: totpIssuer, algorithm: TotpAlgorithm.SHA1, digits: 6, maxDevices: 5 },
    webauthn: {
      rpIds: [...webauthn.rpIds],
      origins: [...webauthn.origins],
      userVerification: WebAuthnRequirement.PREFERRED,
      discoverable: WebAuthnRequirement.PREFERRED,
      attestation: AttestationPolicy.NONE,
      maxCredentials: 10,
    },
    sms: { fraudMode: FraudMode.DENY, dailyBudget: 1000 },
    email: {},
    push: { numberDigits: 2, maxDevices: 5 },
    backupCodes: { policy: BackupCodePolicy.PROMPT, codeCount: 10, lowThreshold: 3 },
    trustedDevices: { lifetime: days(30), maxDevices: 10 },
    administration: { resetCoolDown: {}, auditRetention: days(365), eventRetention: days(30) },
    templates: { defaultLocale: "en" },
    prompt: {},
    lockProfile: LockProfile.STANDARD,
  }) as EffectiveSettings; // every group is in the literal
