import type { MessageTemplate } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { cutText, withoutControls } from "../core/text.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { factorTypeOf } from "./factor-channels.ts";
import { texts } from "./texts.ts";

/** A text with fields in braces. */
export type Template = Pick<MessageTemplate, "subject" | "body">;

/** The values of the fields. `secret` ones are left out of subjects, which appear on locked screens and in logs. */
export interface Fields {
  readonly shown: Readonly<Record<string, string>>;
  readonly secret: Readonly<Record<string, string>>;
}

/** The key of a template. */
export interface TemplateKey {
  readonly channel: "sms" | "email";
  readonly name: string;
  /** The requested locale; empty for the tenant's. */
  readonly locale: string;
}

const LONGEST_VALUE = 200;

/** Locales from the most to the least particular: "de-AT", "de". */
const waysTo = (locale: string): string[] => {
  const parts = locale.toLowerCase().split("-");
  return parts.map((_, n) => parts.slice(0, parts.length - n).join("-"));
};

/** The service's own text, in English. */
export function standardTemplate(channel: TemplateKey["channel"], name: string): Template {
  const standard = texts[name] ?? texts.factor_changed ?? { subject: "", body: "", short: "" };
  return channel === "sms" ? { subject: "", body: standard.short } : standard;
}

/** The text to send: the tenant's in the language asked for, else in the tenant's own, else the service's English one. */
export function chooseTemplate(
  settings: EffectiveSettings["templates"],
  { channel, name, locale }: TemplateKey,
): Template {
  const own = settings.messages.filter((text) => text.channel === factorTypeOf(channel) && text.name === name);
  for (const way of [...waysTo(locale), ...waysTo(settings.defaultLocale)]) {
    const found = own.find((text) => text.locale.toLowerCase() === way);
    if (found) return found;
  }
  return standardTemplate(channel, name);
}

const clean = (value: string) => cutText(withoutControls(value, " "), LONGEST_VALUE);

const fill = (text: string, fields: Readonly<Record<string, string>>) =>
  // In one pass, so that braces in a value are not expanded.
  text.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => clean(fields[name] ?? ""));

/**
 * Fills a text. Control characters are removed from values, which are cut to 200 characters; the result is plain text.
 * A field without a value becomes empty.
 */
export const render = ({ subject, body }: Template, { shown, secret }: Fields) => ({
  subject: fill(subject, shown),
  text: fill(body, { ...shown, ...secret }),
});
