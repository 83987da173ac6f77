import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { isServiceKey, newServiceKey, shownOf } from "../../src/crypto/service-key.ts";

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

describe("a service key", () => {
  test("is a prefix, 30 random characters of 62, and their CRC-32 in base 62", () => {
    for (let n = 0; n < 500; n++) {
      const key = newServiceKey();
      const [, random = "", check = ""] = /^mfa_sk_([0-9A-Za-z]{30})([0-9A-Za-z]{6})$/.exec(key) ?? [];
      const value = [...check].reduce((sum, digit) => sum * 62 + digits.indexOf(digit), 0);
      expect(value).toBe(crc32(random));
      expect(isServiceKey(key)).toBe(true);
    }
  });

  test("shows no more of itself than its prefix and four characters", () => {
    const key = newServiceKey();
    expect(shownOf(key)).toBe(key.slice(0, 11));
  });

  test("uses each of the 62 characters about as often as the others", () => {
    const counts = new Map<string, number>();
    for (let n = 0; n < 5_000; n++) {
      for (const character of newServiceKey().slice(7, 37)) counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    // 2,419 each on average; the deviation is 49.
    expect(counts.size).toBe(62);
    for (const count of counts.values()) expect(Math.abs(count - 2_419)).toBeLessThan(6 * 49);
  });

  test.each([
    ["one character changed", (key: string) => `${key.slice(0, 20)}${key[20] === "a" ? "b" : "a"}${key.slice(21)}`],
    ["two characters changed places", () => "mfa_sk_BA0000000000000000000000000000000000"],
    ["a character missing", (key: string) => key.slice(0, -1)],
    ["a character more", (key: string) => `${key}0`],
    ["another prefix", (key: string) => key.replace("mfa_sk_", "mfa_pk_")],
    ["a line end behind it", (key: string) => `${key}\n`],
    ["nothing", () => ""],
  ])("is told by its check characters from a text with %s", (_, broken) => {
    expect(isServiceKey(broken(newServiceKey()))).toBe(false);
  });
});
