import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import {
  type ActionTemplate,
  AttestationPolicy,
  FraudMode,
  type MessageTemplate,
  type PromptClient,
} from "../../gen/mfa/v1/tenant_settings_pb.js";
import { WebAuthnAttachment, type WebAuthnRequirement } from "../../gen/mfa/v1/webauthn_pb.js";
import type { EffectiveSettings } from "./settings.ts";
import type { Changed } from "./tenant-settings.ts";

/** When a change of one field takes a protection away, in words and in code. */
interface Rule<Value> {
  /** What loosens; empty where nothing does. */
  readonly when: string;
  /** Why no change of the field takes a protection away; empty where one may. */
  readonly never: string;
  readonly loosens: (before: Value, after: Value) => boolean;
}

type Group = Exclude<keyof EffectiveSettings, "version" | "updateTime" | "lockProfile" | `$${string}`>;
/** A rule for every field of every group: the compiler names the one that is missing. */
type Rules = {
  readonly [G in Group]: {
    readonly [F in Exclude<keyof EffectiveSettings[G], `$${string}`>]-?: Rule<EffectiveSettings[G][F]>;
  };
};

const rule = <Value>(when: string, loosens: Rule<Value>["loosens"]): Rule<Value> => ({ when, never: "", loosens });
const never = (why: string): Rule<unknown> => ({ when: "", never: why, loosens: () => false });

const ms = (duration: Duration | undefined) => (duration ? durationMs(duration) : 0);
const off = rule<boolean>("switched off", (before, after) => before && !after);
const on = rule<boolean>("switched on", (before, after) => !before && after);
const fewer = rule<number>("fewer", (before, after) => after < before);
const more = rule<number>("more", (before, after) => after > before);
// The values of WebAuthnRequirement grow with what they ask for.
const weaker = rule<WebAuthnRequirement>("less insistent", (before, after) => after < before);
const shorter = rule<Duration | undefined>("shorter", (before, after) => ms(after) < ms(before));
const longer = rule<Duration | undefined>("longer", (before, after) => ms(after) > ms(before));
const added = rule<readonly string[]>("one more", (before, after) => after.some((one) => !before.includes(one)));
const removed = rule<readonly string[]>("one less", (before, after) => before.some((one) => !after.includes(one)));
const admitted = rule<readonly string[]>(
  "one more, or all",
  (before, after) => before.length > 0 && (after.length === 0 || added.loosens(before, after)),
);
const less = <Value>(strict: Value) =>
  rule<Value>("no longer as strict", (before, after) => before === strict && after !== strict);

const textOf = ({ channel, name, locale, subject, body }: MessageTemplate) =>
  JSON.stringify([channel, name, locale, subject, body]);
const messages = rule<readonly MessageTemplate[]>("another text, of what users are warned by", (before, after) =>
  added.loosens(before.map(textOf), after.map(textOf)),
);
const keyOf = ({ actionType, locale }: ActionTemplate) => `${actionType} ${locale}`;
const actions = rule<readonly ActionTemplate[]>("another text, or a signature no longer required", (before, after) => {
  const now = new Map(after.map((one) => [keyOf(one), one]));
  const texts = (list: readonly ActionTemplate[]) => list.map((one) => `${keyOf(one)} ${one.text}`);
  const isUnbound = before.some(
    (one) => one.requireAuthenticatorBinding && !now.get(keyOf(one))?.requireAuthenticatorBinding,
  );
  return isUnbound || added.loosens(texts(before), texts(after));
});

const returnsOf = ({ clientId, returnUrls }: PromptClient) => returnUrls.map((url) => JSON.stringify([clientId, url]));

/** What a change of each field has to be for one administrator alone not to make it, where their tenant asks for two. */
export const loosenings: Rules = {
  totp: {
    issuer: never("a name that apps show"),
    algorithm: never("each of them is strong enough for codes of 30 seconds"),
    digits: fewer,
    maxDevices: more,
    strictWindow: off,
  },
  webauthn: {
    rpIds: added,
    origins: added,
    userVerification: weaker,
    discoverable: never("how a passkey is found, and not what it is worth"),
    attachment: rule(
      "another, or both",
      (before, after) => before !== WebAuthnAttachment.UNSPECIFIED && after !== before,
    ),
    attestation: less<AttestationPolicy>(AttestationPolicy.REQUIRED),
    allowedAaguids: admitted,
    deniedAaguids: removed,
    denySynced: off,
    passkeyAlone: on,
    maxCredentials: never("each takes a proof to be added, and none makes another easier to guess"),
  },
  sms: { enabled: on, allowedCountries: added, fraudMode: less<FraudMode>(FraudMode.DENY), dailyBudget: more },
  email: { enabled: on, allowedDomains: admitted },
  push: {
    enabled: on,
    numberDigits: fewer,
    lockWhenReported: off,
    maxDevices: never("each takes a proof to be added, and none makes another easier to guess"),
  },
  backupCodes: {
    policy: never("when users get codes, and not what those are good for"),
    codeCount: never("a code is too long to be guessed among any number"),
    lowThreshold: never("when a new set is recommended"),
    restrictSession: off,
  },
  trustedDevices: { enabled: on, lifetime: longer, maxDevices: more },
  administration: {
    fourEyes: off,
    resetCoolDown: shorter,
    auditRetention: shorter,
    eventRetention: shorter,
    denyTemporaryPasses: off,
  },
  templates: { defaultLocale: never("a language"), messages, actions },
  prompt: {
    clients: rule<readonly PromptClient[]>("one more return address", (before, after) =>
      added.loosens(before.flatMap(returnsOf), after.flatMap(returnsOf)),
    ),
    address: rule<string>("another", (before, after) => before !== after),
  },
};

const groups = Object.keys(loosenings) as Group[]; // its own keys

/** Whether a change of settings takes a protection away: neither lock profile is stricter in all than the other. */
export const loosens = ({ before, after }: Changed): boolean =>
  before.lockProfile !== after.lockProfile ||
  groups.some((group) => {
    const [was, is] = [Object(before[group]), Object(after[group])];
    return Object.entries<Rule<never>>(loosenings[group]).some(
      ([field, one]) => one.loosens(was[field] as never, is[field] as never), // each rule is under the name of its field
    );
  });
