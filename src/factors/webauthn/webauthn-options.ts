import type { Keyring } from "../../crypto/keyring.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import type { CodesForEnrollment, FactorSet } from "../factor.ts";
import type { Metadata } from "./metadata.ts";

/** Dependencies of WebAuthn. */
export interface WebAuthnOptions {
  readonly keyring: Keyring;
  /** Of the tenant: relying parties, origins, and what it demands of authenticators. */
  readonly settingsOf: SettingsOf;
  /** What is known of models, where the operator has given it. */
  readonly metadata: Metadata | undefined;
  readonly factors: FactorSet;
  readonly codes: CodesForEnrollment;
}
