import type { Owner } from "../db/store.ts";
import { factors } from "../factors/index.ts";
import type { EffectiveSettings, SettingsOf } from "../tenant-settings/settings.ts";
import type { Compose, Letter } from "./carrier.ts";
import type { Outgoing } from "./provider.ts";
import { chooseTemplate, render, standardTemplate } from "./templates.ts";

/** Dependencies of rendering. */
export interface RenderingOptions {
  readonly settingsOf: SettingsOf;
  /** Returns the full number or address; undefined when it no longer exists. */
  readonly addressOf: (owner: Owner, factorId: string) => Promise<string | undefined>;
  /** Whether the tenant has the channel switched on now, since a message may have waited. */
  readonly isOn: (channel: "sms" | "email", settings: EffectiveSettings) => boolean;
}

const factorNames: ReadonlyMap<string, string> = new Map(factors.map(({ type, word }) => [type, word]));

const text = (value: unknown) => (typeof value === "string" ? value : "");

/** The limit of a text message in characters of any alphabet (Twilio's; other providers join parts alike). */
const LONGEST_SMS = 1600;

/** To the minute, in UTC, since the reader's time zone is not known. */
const shownTime = (time: Date) => `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;

/** Writes letters: to the address in the message, or that of the binding it names, in the tenant's words. */
export function createRendering({ settingsOf, addressOf, isOn }: RenderingOptions): Compose {
  return async (message: Outgoing): Promise<Letter | undefined> => {
    const { owner, channel, kind, data, content, createTime, expireTime } = message;
    if (channel !== "sms" && channel !== "email") return undefined;
    const settings = await settingsOf(owner.tenantId);
    if (!isOn(channel, settings)) return undefined;
    const to = content.address ?? (await addressOf(owner, text(data.factorId)));
    if (!to) return undefined;
    const template = chooseTemplate(settings.templates, { channel, name: kind, locale: text(data.locale) });
    const shown = {
      service: settings.totp.issuer,
      factor: factorNames.get(text(data.factorType)) ?? "second factor",
      time: shownTime(typeof data.time === "string" ? new Date(data.time) : createTime),
      minutes: String(Math.ceil((expireTime.getTime() - createTime.getTime()) / 60_000)),
    };
    const secret = { ...(content.code && { code: content.code }) };
    const written = render(template, { shown, secret });
    // A text that no carrier takes would cost each code: the service's own is short.
    if (channel !== "sms" || written.text.length <= LONGEST_SMS) return { to, ...written };
    return { to, ...render(standardTemplate(channel, kind), { shown, secret }) };
  };
}
