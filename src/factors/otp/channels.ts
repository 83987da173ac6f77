import { FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import type { Settings } from "../../tenants/settings.ts";
import type { Destination } from "./destination.ts";
import { readEmailAddress } from "./email-address.ts";
import { readPhoneNumber } from "./phone-number.ts";

/** By which way codes are sent. */
export type ChannelName = "sms" | "email";

/** A way of sending codes: everything in which the two differ. */
export interface OtpChannel {
  readonly name: ChannelName;
  readonly type: FactorType;
  /** The name of the type, for events. */
  readonly factorType: "SMS" | "EMAIL";
  /** Whether a code raises the level to aal2. */
  readonly counts: boolean;
  /** Whether users must be told of its weakness (NIST SP 800-63B-4 §3.2.9). */
  readonly restricted: boolean;
  readonly digits: number;
  readonly lifetimeMs: number;
  /** How long until another code may be asked for. */
  readonly resendMs: number;
  isOn(settings: Settings): boolean;
  /** Reads what a user typed; undefined for what is not sent to. */
  read(typed: string, settings: Settings): Destination | undefined;
}

const MINUTE_MS = 60_000;

/** How long an address taken out of force is kept so that notices reach it: as long as they try to. */
export const TOLD_MS = 3 * 24 * 60 * MINUTE_MS;

const code = { digits: 6, lifetimeMs: 5 * MINUTE_MS, resendMs: MINUTE_MS / 2 } as const;

/** Every way, one row each. */
export const otpChannels: Readonly<Record<ChannelName, OtpChannel>> = {
  sms: {
    ...code,
    name: "sms",
    type: FactorType.SMS,
    factorType: "SMS",
    counts: true,
    restricted: true,
    isOn: ({ sms }) => sms.enabled,
    read: (typed, { sms }) => readPhoneNumber(typed, sms.allowedCountries),
  },
  email: {
    ...code,
    name: "email",
    type: FactorType.EMAIL,
    factorType: "EMAIL",
    counts: false,
    restricted: false,
    isOn: ({ email }) => email.enabled,
    read: (typed, { email }) => readEmailAddress(typed, email.allowedDomains),
  },
};
