import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { MessageTemplate } from "../../gen/mfa/v1/tenant_settings_pb.js";
import type { Settings } from "../tenants/settings.ts";
import { texts } from "./texts.ts";

/** A text with fields in braces. */
export type Template = Pick<MessageTemplate, "subject" | "body">;

/** What fills the fields. `secret` ones are left out of subjects, which are shown on locked screens and kept in logs. */
export interface Fields {
  readonly shown: Readonly<Record<string, string>>;
  readonly secret: Readonly<Record<string, string>>;
}

/** Which text is meant. */
export interface Wanted {
  readonly channel: "sms" | "email";
  readonly name: string;
  /** As asked for; empty for the tenant's. */
  readonly locale: string;
}

const channels = { sms: FactorType.SMS, email: FactorType.EMAIL } as const;
const LONGEST_VALUE = 200;

/** Locales from the most to the least particular: "de-AT", "de". */
const waysTo = (locale: string): string[] => {
  const parts = locale.toLowerCase().split("-");
  return parts.map((_, n) => parts.slice(0, parts.length - n).join("-"));
};

/** The text to send: the tenant's in the language asked for, else in the tenant's own, else the service's English one. */
export function chooseTemplate(settings: Settings["templates"], { channel, name, locale }: Wanted): Template {
  const own = settings.messages.filter((text) => text.channel === channels[channel] && text.name === name);
  for (const way of [...waysTo(locale), ...waysTo(settings.defaultLocale)]) {
    const found = own.find((text) => text.locale.toLowerCase() === way);
    if (found) return found;
  }
  const standard = texts[name] ?? texts.factor_changed ?? { subject: "", body: "", short: "" };
  return channel === "sms" ? { subject: "", body: standard.short } : standard;
}

const clean = (value: string) => value.replaceAll(/\p{C}/gu, " ").slice(0, LONGEST_VALUE);

const fill = (text: string, fields: Readonly<Record<string, string>>) =>
  // In one pass, so that a value with braces stays what it is.
  text.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => clean(fields[name] ?? ""));

/**
 * Fills a text. Values lose control characters and are cut to 200; the result is plain text, so nothing else in them
 * means anything. A field that has no value becomes empty.
 */
export const render = ({ subject, body }: Template, { shown, secret }: Fields) => ({
  subject: fill(subject, shown),
  text: fill(body, { ...shown, ...secret }),
});
