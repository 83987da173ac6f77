import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  AssertionRejected,
  actionDigest,
  canonicalAction,
  createAssertionVerifier,
  type Expectation,
  remoteKeys,
} from "../../src/client/assertion.ts";

interface Vector {
  readonly name: string;
  readonly valid: boolean;
  readonly token: string;
  readonly expect: Expectation;
  readonly usedBefore?: boolean;
}

const file = JSON.parse(readFileSync(join(import.meta.dirname, "../vectors/assertions.json"), "utf8"));
const vectors: readonly Vector[] = file.vectors;
const clock = () => new Date(file.now * 1000);

const verifier = (once = async () => true) =>
  createAssertionVerifier({
    issuer: file.issuer,
    audience: file.audience,
    clock,
    once,
    key: async (id) => file.jwks.keys.find(({ kid }: { kid: string }) => kid === id),
  });

describe("the shipped verifier", () => {
  test("is shown at least thirty kinds of misuse", () => {
    expect(vectors.filter(({ valid }) => !valid).length).toBeGreaterThanOrEqual(70);
  });

  test.each(vectors.filter(({ valid }) => valid))("takes: $name", async ({ token, expect: expected }) => {
    await expect(verifier()(token, expected)).resolves.toMatchObject({ sub: "ann" });
  });

  test.each(vectors.filter(({ valid }) => !valid))("refuses one: $name", async (vector) => {
    const verify = verifier(async () => vector.usedBefore !== true);
    await expect(verify(vector.token, vector.expect)).rejects.toBeInstanceOf(AssertionRejected);
  });

  test("asks about the use of an assertion only when all else holds", async () => {
    const asked: string[] = [];
    const verify = createAssertionVerifier({
      ...{ issuer: file.issuer, audience: "bank", clock },
      key: async (id) => file.jwks.keys.find(({ kid }: { kid: string }) => kid === id),
      once: async (id) => asked.push(id) > 0,
    });
    const [first] = vectors;
    await expect(verify(first?.token ?? "", first?.expect as Expectation)).rejects.toThrow("another audience");
    expect(asked).toEqual([]);
  });

  test("does not take a private key for a public one", async () => {
    const verify = createAssertionVerifier({
      ...{ issuer: file.issuer, audience: file.audience, clock, once: async () => true },
      key: async () => ({ ...file.jwks.keys[0], d: "AAAA" }),
    });
    const [first] = vectors;
    await expect(verify(first?.token ?? "", first?.expect as Expectation)).rejects.toThrow("algorithm");
  });
});

describe("the digest of an action", () => {
  test("is that of its canonical JSON, whatever the order of its parameters (RFC 8785)", () => {
    // The sorting example of RFC 8785 §3.2.3, with the names that a map of texts can have.
    const parameters = {
      "€": "Euro",
      "\r": "CR",
      \ufb33: "Hebrew",
      "1": "One",
      "😀": "Smiley",
      "\u0080": "Control",
      ö: "O",
    };
    expect(canonicalAction({ type: "a", parameters })).toBe(
      '{"parameters":{"\\r":"CR","1":"One","\u0080":"Control","ö":"O","€":"Euro","😀":"Smiley","\ufb33":"Hebrew"},"type":"a"}',
    );
    const turned = Object.fromEntries(Object.entries(parameters).reverse());
    expect(actionDigest({ type: "a", parameters: turned })).toEqual(actionDigest({ type: "a", parameters }));
  });
});

describe("keys by url", () => {
  const answering = () => {
    const state = { calls: 0, down: false, now: clock() };
    const fetched = async () => {
      state.calls++;
      if (state.down) throw new TypeError("fetch failed");
      return Response.json(file.jwks);
    };
    return { state, key: remoteKeys("https://mfa.example/jwks", fetched as typeof fetch, () => state.now) };
  };
  const pass = (state: { now: Date }, ms: number) => {
    state.now = new Date(state.now.getTime() + ms);
  };

  test("are fetched once, and for unknown ids once in thirty seconds", async () => {
    const { state, key } = answering();
    expect(await key("ed-1")).toMatchObject({ kid: "ed-1" });
    for (let n = 0; n < 100; n++) expect(await key(`made-up-${n}`)).toBeUndefined();
    expect(state.calls).toBe(1);
    pass(state, 31_000);
    for (let n = 0; n < 100; n++) await key("made-up");
    expect(state.calls).toBe(2);
  });

  test("are used for an hour while they cannot be fetched, and no longer", async () => {
    const { state, key } = answering();
    await key("ed-1");
    state.down = true;
    pass(state, 59 * 60_000);
    expect(await key("ed-1")).toBeDefined();
    pass(state, 2 * 60_000);
    await expect(key("ed-1")).rejects.toThrow();
  });
});
