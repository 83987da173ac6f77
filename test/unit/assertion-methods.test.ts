import { describe, expect, test } from "vitest";
import { assertionMeets, isByBackupCode, isUsedUp, type Method, statedAs } from "../../src/assertions/methods.ts";

const method = (type: Method["type"], more: Partial<Method> = {}): Method => ({
  ...{ type, deviceBound: false, userVerified: false, alone: false, ...more },
});
const key = method("WEBAUTHN", { deviceBound: true, userVerified: true });
const stated = (...methods: (Method | Method["type"])[]) =>
  statedAs(methods.map((one) => (typeof one === "string" ? method(one) : one)));

describe("what several proofs are stated as", () => {
  test("every one of them, each name once, and aal2 unless e-mail is all there is", () => {
    expect(stated("TOTP", "SMS", "EMAIL")).toEqual({ acr: "aal2", amr: ["otp", "sms", "urn:mfa:amr:email", "mfa"] });
    const { amr } = stated(method("WEBAUTHN"), "PUSH");
    expect(amr).toEqual(["swk", "user", "urn:mfa:amr:webauthn", "mca", "mfa"]);
    expect(stated("EMAIL")).toEqual({ acr: "aal1", amr: ["urn:mfa:amr:email"] });
    expect(stated("EMAIL", "BACKUP_CODE").acr).toBe("aal2");
  });

  test.each([
    ["UNRESTRICTED", ["SMS"], false],
    ["UNRESTRICTED", ["SMS", "EMAIL"], false],
    ["UNRESTRICTED", ["TOTP", "SMS"], true],
    ["UNRESTRICTED", ["EMAIL", "BACKUP_CODE"], true],
    ["PHISHING_RESISTANT", ["TOTP", "PUSH"], false],
    ["PHISHING_RESISTANT", ["WEBAUTHN", "SMS"], true],
    ["DEVICE_BOUND", ["WEBAUTHN", "TOTP"], false],
    ["DEVICE_BOUND", [key, "SMS"], true],
  ] as const)("for %s %j is worth it: %s", (strength, methods, expected) => {
    expect(assertionMeets(stated(...methods), strength)).toBe(expected);
  });

  test("a code that is used up counts as all there is only where nothing that lasts was proved beside it", () => {
    const found = (...types: Method["type"][]) => [
      isUsedUp(stated(...types).amr),
      isByBackupCode(stated(...types).amr),
    ];
    expect(found("BACKUP_CODE")).toEqual([true, true]);
    expect(found("EMAIL", "BACKUP_CODE")).toEqual([true, true]);
    expect(found("TEMPORARY_PASS")).toEqual([true, false]);
    expect(found("TOTP", "BACKUP_CODE")).toEqual([false, false]);
  });
});
