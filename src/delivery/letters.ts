import type { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { Owner } from "../core/caller.ts";
import type { SettingsOf } from "../tenants/settings.ts";
import type { Compose, Letter } from "./carrier.ts";
import type { Outgoing } from "./provider.ts";
import { chooseTemplate, render } from "./templates.ts";

/** What writing letters needs of the process. */
export interface LetterOptions {
  readonly settingsOf: SettingsOf;
  /** The full number or address of a binding; undefined when it is no more. */
  readonly addressOf: (owner: Owner, factorId: string) => Promise<string | undefined>;
}

/** The word for a kind of factor in the service's own English texts. */
const factorNames: Readonly<Record<Exclude<keyof typeof FactorType, "UNSPECIFIED">, string>> = {
  TOTP: "authenticator app",
  WEBAUTHN: "passkey or security key",
  PUSH: "phone for approvals",
  SMS: "phone number for codes",
  EMAIL: "e-mail address for codes",
  BACKUP_CODE: "backup codes",
  TEMPORARY_PASS: "temporary pass",
};

const isNamed = (type: string): type is keyof typeof factorNames => Object.hasOwn(factorNames, type);

const text = (value: unknown) => (typeof value === "string" ? value : "");

/** To the minute, in the one zone that is right for nobody and wrong for nobody. */
const shownTime = (time: Date) => `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;

/** Writes letters: to the address in the message, or that of the binding it names, in the tenant's words. */
export function createCompose({ settingsOf, addressOf }: LetterOptions): Compose {
  return async (message: Outgoing): Promise<Letter | undefined> => {
    const { owner, channel, kind, data, content, createTime, expireTime } = message;
    if (channel !== "sms" && channel !== "email") return undefined;
    const to = content.address ?? (await addressOf(owner, text(data.factorId)));
    if (!to) return undefined;
    const settings = await settingsOf(owner.tenantId);
    const template = chooseTemplate(settings.templates, { channel, name: kind, locale: text(data.locale) });
    const type = text(data.factorType);
    const shown = {
      service: settings.totp.issuer,
      factor: isNamed(type) ? factorNames[type] : "second factor",
      time: shownTime(typeof data.time === "string" ? new Date(data.time) : createTime),
      minutes: String(Math.ceil((expireTime.getTime() - createTime.getTime()) / 60_000)),
    };
    const secret = { ...(content.code && { code: content.code }) };
    return { to, ...render(template, { shown, secret }) };
  };
}
