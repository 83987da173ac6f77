import { describe, expect, test } from "vitest";
import { type CodeParameters, codeOf, matchStep, stepAt } from "../../src/factors/totp/totp-code.ts";

const parameters = (algorithm: CodeParameters["algorithm"], digits: 6 | 8): CodeParameters => ({
  algorithm,
  digits,
  periodSeconds: 30,
});
const ascii = (text: string) => Buffer.from(text, "ascii");
const SEED = "12345678901234567890";

describe("RFC 4226, appendix D", () => {
  const values = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489".split(" ");
  test.each(values.map((code, counter) => [counter, code] as const))("count %i makes %s", (counter, code) => {
    expect(codeOf(ascii(SEED), counter, parameters("sha1", 6))).toBe(code);
  });
});

describe("RFC 6238, appendix B", () => {
  const seeds = {
    sha1: ascii(SEED),
    sha256: ascii(`${SEED}123456789012`),
    sha512: ascii(`${SEED}${SEED}${SEED}1234`),
  };
  const vectors = [
    [59, "94287082", "46119246", "90693936"],
    [1111111109, "07081804", "68084774", "25091201"],
    [1111111111, "14050471", "67062674", "99943326"],
    [1234567890, "89005924", "91819424", "93441116"],
    [2000000000, "69279037", "90698825", "38618901"],
    [20000000000, "65353130", "77737706", "47863826"],
  ] as const;
  test.each(vectors)("at %i s", (seconds, sha1, sha256, sha512) => {
    for (const [algorithm, code] of Object.entries({ sha1, sha256, sha512 })) {
      const p = parameters(algorithm as CodeParameters["algorithm"], 8);
      const now = new Date(seconds * 1000);
      expect(codeOf(seeds[algorithm as keyof typeof seeds], stepAt(now, p), p)).toBe(code);
      const given = { code, now, lastStep: 0 };
      expect(matchStep(seeds[algorithm as keyof typeof seeds], p, given)).toBe(Math.floor(seconds / 30));
    }
  });
});

describe("matching", () => {
  const p = parameters("sha1", 6);
  const secret = ascii(SEED);
  const now = new Date(3_000_000_000);
  const current = stepAt(now, p);

  test("accepts one step to either side and no more", () => {
    for (const offset of [-1, 0, 1]) {
      const code = codeOf(secret, current + offset, p);
      expect(matchStep(secret, p, { code, now, lastStep: 0 })).toBe(current + offset);
    }
    for (const offset of [-2, 2]) {
      const code = codeOf(secret, current + offset, p);
      expect(matchStep(secret, p, { code, now, lastStep: 0 })).toBeUndefined();
    }
  });

  test("finds no match for a code of another length, however it begins", () => {
    const code = codeOf(secret, current, p);
    for (const other of ["", "0", code.slice(1), `${code}00`, "１２３４５６"]) {
      expect(matchStep(secret, p, { code: other, now, lastStep: 0 })).toBeUndefined();
    }
  });

  test("prefers an unspent step when chance gives two steps one code", () => {
    // The first pair of neighbouring steps of this secret that share a code, found by trying them all.
    const twin = 910_737;
    const code = codeOf(secret, twin, p);
    expect(codeOf(secret, twin + 1, p)).toBe(code);
    const at = new Date(twin * 30_000);
    expect(matchStep(secret, p, { code, now: at, lastStep: 0 })).toBe(twin);
    expect(matchStep(secret, p, { code, now: at, lastStep: twin })).toBe(twin + 1);
  });

  test("works at the beginning of time", () => {
    expect(matchStep(secret, p, { code: codeOf(secret, 0, p), now: new Date(0), lastStep: -1 })).toBe(0);
  });
});
