import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  AssertionRejected,
  AssertionUndecided,
  actionDigest,
  canonicalAction,
  createAssertionVerifier,
  type Expectation,
  ExpectationInvalid,
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

describe("a backend in JavaScript", () => {
  const [log] = vectors;
  const good = log as Vector;
  const expecting = (more: object) => verifier()(good.token, { ...good.expect, ...more });

  test.each([
    ["a level in capitals", { acr: "AAL2" }],
    ["a level that does not exist", { acr: "aal3" }],
    ["a level by number", { acr: 2 }],
    ["another binding", { binding: "server" }],
    ["no user", { userId: undefined }],
    ["no tenant", { tenantId: "" }],
    ["no session but undefined", { sessionId: undefined }],
    ["a nonce that is a number", { nonce: 1 }],
    ["an action without parameters", { action: { type: "transfer.create" } }],
    ["an action whose parameter is a number", { action: { type: "a", parameters: { amount: 10 } } }],
    ["an age that is no number", { maxAgeSeconds: Number.NaN }],
  ])("that expects %s is told that nothing can hold", async (_, more) => {
    const failed = await expecting(more).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(ExpectationInvalid);
    expect(failed).toMatchObject({ retry: false });
  });

  test("that names no audience gets no verifier", () => {
    const options = { issuer: file.issuer, audience: undefined as unknown as string, key: async () => undefined };
    expect(() => createAssertionVerifier({ ...options, once: async () => true })).toThrow(ExpectationInvalid);
  });

  test("that has no token to show is refused", async () => {
    await expect(verifier()(undefined as unknown as string, good.expect)).rejects.toBeInstanceOf(AssertionRejected);
  });

  test("whose store answers anything but true is refused: an empty list of rows is no first use", async () => {
    const rows = verifier(async () => [] as unknown as boolean);
    await expect(rows(good.token, good.expect)).rejects.toThrow("used before");
  });

  test("whose store or key set fails learns that the same assertion may be verified again", async () => {
    const failing = async () => {
      throw new Error("the database is away");
    };
    const shared = { issuer: file.issuer, audience: file.audience, clock };
    const key = async (id: string) => file.jwks.keys.find(({ kid }: { kid: string }) => kid === id);
    for (const options of [
      { key: failing, once: async () => true },
      { key, once: failing },
    ]) {
      const failed = await createAssertionVerifier({ ...shared, ...options })(good.token, good.expect).catch((e) => e);
      expect(failed).toBeInstanceOf(AssertionUndecided);
      expect(failed).toMatchObject({ retry: true, retryAfterMs: 1000, cause: { message: "the database is away" } });
    }
    await expect(verifier()(good.token, good.expect)).resolves.toMatchObject({ sub: "ann" });
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
