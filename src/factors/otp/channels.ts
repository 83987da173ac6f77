import { FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { ownMethod } from "../amr.ts";
import type { Destination } from "./destination.ts";
import { readEmailAddress } from "./email-address.ts";
import { readPhoneNumber } from "./phone-number.ts";

/** By which way codes are sent. */
export type ChannelName = "sms" | "email";

/** The kinds of factor that are codes on their way, by the contract's names. */
export type OtpFactorType = "SMS" | "EMAIL";

/** A way of sending codes: everything in which the two differ. */
export interface OtpChannel<T extends OtpFactorType = OtpFactorType> {
  readonly name: ChannelName;
  readonly type: FactorType;
  /** The name of the type, for events. */
  readonly factorType: T;
  /** The word for it in the service's own English texts. */
  readonly word: string;
  /** The name of its numbers or addresses in the receipt of a reset. */
  readonly receiptKind: string;
  /** The authentication method that a code is stated as (`amr`). */
  readonly method: string;
  /** The case of `Proof.kind` that its codes are. */
  readonly answers: "smsCode" | "emailCode";
  /** Whether a code raises the level to aal2. */
  readonly counts: boolean;
  /** Whether users must be told of its weakness (NIST SP 800-63B-4 §3.2.9). */
  readonly restricted: boolean;
  readonly digits: number;
  readonly lifetimeMs: number;
  /** How long until another code may be asked for. */
  readonly resendMs: number;
  isOn(settings: EffectiveSettings): boolean;
  /** The tenant's setting that no longer lets codes go to an enrolled number or address; undefined while they may. */
  refusedBy(
    address: { readonly country: string; readonly masked: string },
    settings: EffectiveSettings,
  ): string | undefined;
  /** Reads what a user typed; undefined for what is not sent to. */
  read(typed: string, settings: EffectiveSettings): Destination | undefined;
}

const MINUTE_MS = 60_000;

/** How long an address taken out of force is kept so that notices reach it: as long as they try to. */
export const TOLD_MS = 3 * 24 * 60 * MINUTE_MS;

const code = { digits: 6, lifetimeMs: 5 * MINUTE_MS, resendMs: MINUTE_MS / 2 } as const;

/** Every way, one row each. */
export const otpChannels: Readonly<{ sms: OtpChannel<"SMS">; email: OtpChannel<"EMAIL"> }> = {
  sms: {
    ...code,
    name: "sms",
    type: FactorType.SMS,
    factorType: "SMS",
    word: "phone number for codes",
    receiptKind: "phone_numbers",
    method: "sms",
    answers: "smsCode",
    counts: true,
    restricted: true,
    // Without a country nothing is sent to anybody.
    isOn: ({ sms }) => sms.enabled && sms.allowedCountries.length > 0,
    refusedBy: ({ country }, { sms }) => (sms.allowedCountries.includes(country) ? undefined : "sms.allowed_countries"),
    read: (typed, { sms }) => readPhoneNumber(typed, sms.allowedCountries),
  },
  email: {
    ...code,
    name: "email",
    type: FactorType.EMAIL,
    factorType: "EMAIL",
    word: "e-mail address for codes",
    receiptKind: "email_addresses",
    method: ownMethod("email"),
    answers: "emailCode",
    counts: false,
    restricted: false,
    isOn: ({ email }) => email.enabled,
    // The domain is in what lists show, whole.
    refusedBy: ({ masked }, { email: { allowedDomains } }) =>
      allowedDomains.length === 0 || allowedDomains.includes(masked.slice(masked.lastIndexOf("@") + 1))
        ? undefined
        : "email.allowed_domains",
    read: (typed, { email }) => readEmailAddress(typed, email.allowedDomains),
  },
};
