import { clone } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { TenantSettingsSchema } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { loosenings, loosens } from "../../src/tenant-settings/loosening.ts";
import { defaultsOf } from "../../src/tenant-settings/settings.ts";

const text = (body: string) => ({ channel: 5, name: "factor_added", locale: "en", subject: "A new factor", body });
const action = (more: object) => ({ actionType: "payment", locale: "en", text: "Pay {amount}", ...more });

/** A stricter value and a looser one of every field that can loosen. */
const values: Record<string, readonly [unknown, unknown]> = {
  "totp.digits": [8, 6],
  "totp.maxDevices": [5, 6],
  "totp.strictWindow": [true, false],
  "webauthn.rpIds": [["a.example"], ["a.example", "b.example"]],
  "webauthn.origins": [["https://a.example"], ["https://a.example", "https://evil.example"]],
  "webauthn.userVerification": [3, 2],
  "webauthn.attachment": [1, 0],
  "webauthn.attestation": [2, 1],
  "webauthn.allowedAaguids": [["08987058-cadc-4b81-b6e1-30de50dcbe96"], []],
  "webauthn.deniedAaguids": [["08987058-cadc-4b81-b6e1-30de50dcbe96"], []],
  "webauthn.denySynced": [true, false],
  "webauthn.passkeyAlone": [false, true],
  "sms.enabled": [false, true],
  "sms.allowedCountries": [["AT"], ["AT", "LV"]],
  "sms.fraudMode": [1, 2],
  "sms.dailyBudget": [100, 1_000],
  "email.enabled": [false, true],
  "email.allowedDomains": [["a.example"], []],
  "push.enabled": [false, true],
  "push.numberDigits": [6, 2],
  "push.lockWhenReported": [true, false],
  "backupCodes.restrictSession": [true, false],
  "trustedDevices.enabled": [false, true],
  "trustedDevices.lifetime": [durationFromMs(3_600 * 1_000), durationFromMs(7_200 * 1_000)],
  "trustedDevices.maxDevices": [1, 10],
  "administration.fourEyes": [true, false],
  "administration.resetCoolDown": [durationFromMs(3_600 * 1_000), durationFromMs(0)],
  "administration.auditRetention": [durationFromMs(9_000_000 * 1_000), durationFromMs(7_776_000 * 1_000)],
  "administration.eventRetention": [durationFromMs(172_800 * 1_000), durationFromMs(86_400 * 1_000)],
  "administration.denyTemporaryPasses": [true, false],
  "templates.messages": [[text("A factor was added.")], [text("All is well.")]],
  "templates.actions": [[action({ requireAuthenticatorBinding: true })], [action({})]],
  "prompt.clients": [
    [{ clientId: "a", returnUrls: ["https://a.example/"] }],
    [
      { clientId: "b", returnUrls: ["https://a.example/"] },
      { clientId: "a", returnUrls: ["https://a.example/"] },
    ],
  ],
  "prompt.address": ["https://mfa.a.example", "https://mfa.b.example"],
};

const rules = Object.entries(loosenings).flatMap(([group, fields]) =>
  Object.entries(fields).map(([field, { when, never }]) => ({ name: `${group}.${field}`, when, never })),
);

const defaults = defaultsOf({ totpIssuer: "mfa", webauthn: { rpIds: ["localhost"], origins: [] } });
const settingsWith = (name: string, value: unknown) => {
  const [group = "", field = ""] = name.split(".");
  const settings = clone(TenantSettingsSchema, defaults);
  Object.assign(settings, { [group]: { ...Object(settings[group as keyof typeof settings]), [field]: value } });
  return settings as typeof defaults;
};

test("every setting of a tenant is said to loosen at some change, or why at none", () => {
  const fields = TenantSettingsSchema.fields.flatMap(({ localName, message }) =>
    message && localName !== "updateTime" ? message.fields.map((field) => `${localName}.${field.localName}`) : [],
  );
  expect(rules.map(({ name }) => name).toSorted()).toEqual(fields.toSorted());
  for (const { name, when, never } of rules) expect([name, when === ""]).toEqual([name, never !== ""]);
  expect(rules.filter(({ when }) => when !== "").map(({ name }) => name)).toEqual(Object.keys(values));
});

test.each(Object.entries(values))("a looser %s takes two administrators, and a stricter one does not", (name, pair) => {
  const [strict, loose] = pair.map((value) => settingsWith(name, value)) as [typeof defaults, typeof defaults];
  expect(loosens({ before: strict, after: loose })).toBe(true);
  expect(loosens({ before: loose, after: strict })).toBe(["templates.messages", "prompt.address"].includes(name));
  expect(loosens({ before: strict, after: strict })).toBe(false);
});

test("a list that admits all is loosened by nothing, and another attachment than before is one", () => {
  const of = (name: string, value: unknown) => settingsWith(name, value);
  const [all, one] = [of("email.allowedDomains", []), of("email.allowedDomains", ["a.example"])];
  expect(loosens({ before: all, after: one })).toBe(false);
  expect(loosens({ before: one, after: of("email.allowedDomains", ["b.example"]) })).toBe(true);
  expect(loosens({ before: of("webauthn.attachment", 1), after: of("webauthn.attachment", 2) })).toBe(true);
  expect(loosens({ before: of("webauthn.userVerification", 2), after: of("webauthn.userVerification", 1) })).toBe(true);
});

test("the page of the settings that loosen is as the code has it", async () => {
  const row = ({ name, when, never }: (typeof rules)[number]) => {
    const proto = name.replaceAll(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`);
    return `| \`${proto}\` | ${when || "–"} | ${never} |`;
  };
  const page = [
    "# What loosens a tenant's settings",
    "",
    "With `administration.four_eyes` on, a change that loosens waits for a second administrator. Compared are the settings in",
    "force before and after it. Another `lock_profile` always waits: neither is stricter in all than the other.",
    "",
    "| Setting | Loosened when | Never, as it is |",
    "|---|---|---|",
    ...rules.map(row),
    "",
  ].join("\n");
  await expect(page).toMatchFileSnapshot("../../docs/reference/loosening.md");
});
