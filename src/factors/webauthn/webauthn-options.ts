import type { Keyring } from "../../crypto/keyring.ts";
import type { SettingsOf } from "../../tenants/settings.ts";
import type { CodesForEnrolment, FactorSet } from "../factor.ts";
import type { Metadata } from "./metadata.ts";

/** What WebAuthn needs of the process. */
export interface WebAuthnOptions {
  readonly keyring: Keyring;
  /** Of the tenant: relying parties, origins, and what it demands of authenticators. */
  readonly settingsOf: SettingsOf;
  /** What is known of models, where the operator has given it. */
  readonly metadata: Metadata | undefined;
  readonly factors: FactorSet;
  readonly codes: CodesForEnrolment;
}
