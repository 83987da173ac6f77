import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drawRecoveryCode, readRecoveryCode, showRecoveryCode } from "../../src/crypto/recovery-code.ts";
import { isFull } from "../support/engine/races.ts";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const rounds = { numRuns: isFull ? 10_000 : 500 };

const canonical = fc
  .array(fc.constantFrom(...ALPHABET), { minLength: 19, maxLength: 19 })
  .map((characters) => characters.join(""));
const filling = fc.array(fc.constantFrom("", " ", "-", "--", " - "), { minLength: 20, maxLength: 20 });
/** How Crockford has people write a character: in either case, and the look-alikes of 0 and 1. */
const written = (character: string) =>
  fc.constantFrom(character, character.toLowerCase(), ...({ 0: "Oo", 1: "IiLl" }[character] ?? ""));

describe("recovery codes", () => {
  test("look like 000-0000-0000-0000-0000 and are read as they are shown", () => {
    for (let n = 0; n < 100; n++) {
      const code = drawRecoveryCode();
      expect(showRecoveryCode(code)).toMatch(/^[0-9A-HJKMNP-TV-Z]{3}(-[0-9A-HJKMNP-TV-Z]{4}){4}$/);
      expect(readRecoveryCode(showRecoveryCode(code))).toEqual(code);
    }
  });

  test.each([
    ["ABC-DEFG-HJKM-NPQR-STVW", "ABCDEFGHJKMNPQRSTVW"],
    ["abcdefghjkmnpqrstvw", "ABCDEFGHJKMNPQRSTVW"],
    ["  o0O-iIlL-1111-0000-zzzz ", "000111111110000ZZZZ"],
    ["A B C D E F G H J K M N P Q R S T V W", "ABCDEFGHJKMNPQRSTVW"],
  ])("%s is read as %s", (typed, expected) => {
    expect(readRecoveryCode(typed)).toEqual({ selector: expected.slice(0, 3), canonical: expected });
  });

  test.each([
    "",
    "ABC",
    "ABCDEFGHJKMNPQRSTV",
    "ABCDEFGHJKMNPQRSTVWX",
    "UBCDEFGHJKMNPQRSTVW",
    "ＡBCDEFGHJKMNPQRSTVW",
    "ABCDEFGHJKMNPQRSTV\0",
  ])("%j is no code", (typed) => expect(readRecoveryCode(typed)).toBeUndefined());

  test("one code has one canonical form, however it is written", () => {
    const typing = canonical.chain((code) => fc.tuple(fc.constant(code), fc.tuple(...[...code].map(written)), filling));
    const property = fc.property(typing, ([code, characters, fill]) => {
      const typed = fill.map((between, n) => between + (characters[n] ?? "")).join("");
      expect(readRecoveryCode(typed)).toEqual({ selector: code.slice(0, 3), canonical: code });
    });
    fc.assert(property, rounds);
  });

  test("whatever is typed, it is read as a code in canonical form or as none", () => {
    const property = fc.property(fc.string({ unit: "binary", maxLength: 64 }), (typed) => {
      const code = readRecoveryCode(typed);
      if (code) expect(code.canonical).toMatch(/^[0-9A-HJKMNP-TV-Z]{19}$/);
    });
    fc.assert(property, rounds);
  });

  test("every character of a new code is uniform over the alphabet (chi-squared, p above one in a million)", () => {
    const drawn = 32 * 400;
    const counts = Array.from({ length: 19 }, () => new Map<string, number>());
    for (let n = 0; n < drawn; n++) {
      [...drawRecoveryCode().canonical].forEach((character, place) => {
        counts[place]?.set(character, (counts[place].get(character) ?? 0) + 1);
      });
    }
    for (const seen of counts) {
      const chi = [...ALPHABET].reduce((sum, character) => sum + ((seen.get(character) ?? 0) - 400) ** 2 / 400, 0);
      // 31 degrees of freedom.
      expect(chi).toBeLessThan(85);
    }
  });
});
