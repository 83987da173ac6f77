import { describe, expect, test } from "vitest";
import { factors } from "../../src/factors/index.ts";
import { decide, type Posture } from "../../src/risk/decision.ts";
import { defaults, type Level, type Requirement } from "../../src/risk/requirement.ts";

const totp = { type: "TOTP", deviceBound: false } as const;
const passkey = { type: "WEBAUTHN", deviceBound: true } as const;
const synced = { type: "WEBAUTHN", deviceBound: false } as const;
const text = { type: "SMS", deviceBound: false } as const;
const mail = { type: "EMAIL", deviceBound: false } as const;
const codes = { type: "BACKUP_CODE", deviceBound: false } as const;

const nobody: Posture = { held: [], enrolled: false, trusted: false, asked: "UNSPECIFIED", enforced: "UNSPECIFIED" };
const nothing: Requirement = { anyOf: [], strength: "UNSPECIFIED", block: false, allowTrusted: false };
const holder = (...held: Posture["held"]): Posture => ({ ...nobody, held, enrolled: true });

const decided = (requirement: Partial<Requirement>, standing: Posture, level: Level = "LOW") => {
  const { decision, types } = decide(factors, { level, requirement: { ...nothing, ...requirement } }, standing);
  return [decision, ...types].join(" ");
};

describe("what a log-in needs", () => {
  test.each<[string, Partial<Requirement>, Posture, Level, string]>([
    ["nobody's factor is asked for by default", defaults.LOW, nobody, "LOW", "ALLOW"],
    ["nor at high risk", defaults.HIGH, nobody, "HIGH", "ALLOW"],
    ["a factor is, of whoever has one", defaults.LOW, holder(totp), "LOW", "CHALLENGE TOTP"],
    ["strongest first", defaults.LOW, holder(totp, passkey), "LOW", "CHALLENGE WEBAUTHN TOTP"],
    ["e-mail is none", defaults.LOW, { ...nobody, held: [mail] }, "LOW", "ALLOW"],
    ["backup codes alone are none", defaults.LOW, { ...nobody, held: [codes] }, "LOW", "ALLOW"],
    ["and do beside one", defaults.LOW, holder(totp, codes, mail), "LOW", "CHALLENGE TOTP BACKUP_CODE"],
    ["a level that asks for nothing lets in", {}, holder(totp), "LOW", "ALLOW"],
    ["also who must have one", {}, { ...nobody, enforced: "ANY_FACTOR" }, "LOW", "ENROLL"],
    ["a rule is met by a proof", {}, { ...holder(totp), enforced: "ANY_FACTOR" }, "LOW", "CHALLENGE TOTP"],
    ["a block refuses everybody", { block: true }, holder(passkey), "LOW", "DENY"],
    ["a strength leaves out", { strength: "UNRESTRICTED" }, holder(totp, text), "MEDIUM", "CHALLENGE TOTP"],
    ["and denies who has only weaker", { strength: "UNRESTRICTED" }, holder(text), "MEDIUM", "DENY"],
    ["and has the others enroll", { strength: "UNRESTRICTED" }, nobody, "MEDIUM", "ENROLL"],
    ["a synced passkey is bound to no device", { strength: "DEVICE_BOUND" }, holder(synced), "LOW", "DENY"],
    ["another is", { strength: "DEVICE_BOUND" }, holder(passkey), "LOW", "CHALLENGE WEBAUTHN"],
    ["the application's demand counts", defaults.LOW, { ...nobody, asked: "ANY_FACTOR" }, "LOW", "ENROLL"],
    ["at high risk nobody enrolls", defaults.HIGH, { ...nobody, asked: "ANY_FACTOR" }, "HIGH", "DENY"],
    ["nor by a rule", defaults.HIGH, { ...nobody, enforced: "ANY_FACTOR" }, "HIGH", "DENY"],
    ["trust stands in", defaults.LOW, { ...holder(totp), trusted: true }, "LOW", "ALLOW"],
    ["not where it is not allowed", defaults.MEDIUM, { ...holder(totp), trusted: true }, "MEDIUM", "CHALLENGE TOTP"],
    [
      "never at high risk",
      { ...defaults.HIGH, allowTrusted: true },
      { ...holder(totp), trusted: true },
      "HIGH",
      "CHALLENGE TOTP",
    ],
    [
      "not for what is asked for by its worth",
      defaults.LOW,
      { ...holder(totp), trusted: true, asked: "ANY_FACTOR" },
      "LOW",
      "CHALLENGE TOTP",
    ],
    [
      "nor for a rule's strength",
      defaults.LOW,
      { ...holder(passkey), trusted: true, enforced: "PHISHING_RESISTANT" },
      "LOW",
      "CHALLENGE WEBAUTHN",
    ],
    [
      "of nobody who has no factor",
      { ...defaults.LOW, anyOf: [["TOTP"]] },
      { ...nobody, trusted: true },
      "LOW",
      "ENROLL",
    ],
    ["a group needs all of its kinds", { anyOf: [["TOTP", "SMS"]] }, holder(totp), "LOW", "DENY"],
    ["which may be of any worth", { anyOf: [["TOTP", "SMS"]] }, holder(totp, text), "LOW", "CHALLENGE TOTP SMS"],
    [
      "one group will do",
      { anyOf: [["SMS"], ["WEBAUTHN"], ["TOTP"]] },
      holder(totp, passkey),
      "LOW",
      "CHALLENGE WEBAUTHN TOTP",
    ],
    [
      "of a group one is worth what is asked",
      { anyOf: [["TOTP", "WEBAUTHN"]], strength: "PHISHING_RESISTANT" },
      holder(totp, synced),
      "LOW",
      "CHALLENGE WEBAUTHN TOTP",
    ],
    [
      "or it does not do",
      { anyOf: [["TOTP", "SMS"]], strength: "PHISHING_RESISTANT" },
      holder(totp, text),
      "LOW",
      "DENY",
    ],
    ["e-mail does where it is named", { anyOf: [["EMAIL"]] }, { ...nobody, held: [mail] }, "LOW", "CHALLENGE EMAIL"],
  ])("%s", (_, requirement, standing, level, expected) => expect(decided(requirement, standing, level)).toBe(expected));
});
