import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { TemplateSettingsSchema } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { chooseTemplate, render } from "../../src/delivery/templates.ts";
import { texts } from "../../src/delivery/texts.ts";

const settings = (defaultLocale: string, locales: readonly string[]) =>
  create(TemplateSettingsSchema, {
    defaultLocale,
    messages: locales.map((locale) => ({
      ...{ channel: FactorType.EMAIL, name: "code", locale, subject: "s", body: locale },
    })),
  });

const chosen = (defaultLocale: string, locales: readonly string[], locale: string) =>
  chooseTemplate(settings(defaultLocale, locales), { channel: "email", name: "code", locale }).body;

describe("texts", () => {
  test.each([
    ["the very one", "de-AT", ["de", "de-AT"], "de-AT"],
    ["its language", "de-AT", ["de", "fr"], "de"],
    ["whatever its case", "DE-at", ["De"], "De"],
    ["the tenant's language", "es", ["de", "fr"], "fr"],
    ["the tenant's language where none is asked for", "", ["de", "fr"], "fr"],
  ])("are chosen in the language asked for: %s", (_, asked, locales, expected) => {
    expect(chosen("fr", locales, asked)).toBe(expected);
  });

  test("are the service's own where the tenant has none in either language", () => {
    expect(chosen("en", ["de"], "es")).toBe(texts.code?.body);
    const sms = chooseTemplate(settings("en", ["en"]), { channel: "sms", name: "code", locale: "" });
    expect(sms).toEqual({ subject: "", body: texts.code?.short });
  });

  test("are filled once, with values that lose control characters and are cut", () => {
    const fields = { shown: { a: "{b}\r\nBcc: x", b: "no", long: "x".repeat(500) }, secret: { code: "123456" } };
    expect(render({ subject: "{a} {code}", body: "{a} {code} {unknown} {long}" }, fields)).toEqual({
      subject: "{b}  Bcc: x ",
      text: `{b}  Bcc: x 123456  ${"x".repeat(200)}`,
    });
  });

  test("of the service have no secret in a subject, and say in each notice when it was", () => {
    for (const [name, { subject, body, short }] of Object.entries(texts)) {
      expect(subject, name).not.toContain("{code}");
      if (name !== "code") for (const text of [body, short]) expect(text, name).toContain("{time}");
    }
  });
});
