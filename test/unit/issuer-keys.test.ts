import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { Refusal } from "../../src/core/refusal.ts";
import { createAuthentication } from "../../src/rpc/authentication.ts";
import { IssuerUnavailable, keysOfFile, remoteKeys } from "../../src/rpc/issuer-keys.ts";
import { portOf } from "../support/port.ts";

let pair: { privateKey: CryptoKey; publicKey: CryptoKey };
let jwks: string;

beforeAll(async () => {
  pair = await generateKeyPair("ES256", { extractable: true });
  jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: "k1", alg: "ES256" }] });
});

const token = (kid = "k1") =>
  new SignJWT({ tid: "acme" })
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid })
    .setIssuer("https://login")
    .setAudience("mfa")
    .setSubject("ann")
    .setExpirationTime("5m")
    .sign(pair.privateKey);

/** An issuer's JWKS endpoint on loopback, and what it was asked. */
async function issuer(answer: RequestListener, options = { cooldownMs: 30_000, maxAgeMs: 600_000, timeoutMs: 300 }) {
  let asked = 0;
  const server = createServer((request, response) => {
    asked++;
    answer(request, response);
  });
  const url = `http://127.0.0.1:${await portOf(server)}/jwks`;
  const authenticate = createAuthentication([{ issuer: "https://login", keys: remoteKeys(url, options) }]);
  return {
    asked: () => asked,
    outcome: async (jwt: string) =>
      authenticate(`Bearer ${jwt}`, new Date()).then(
        (caller) => caller.subject,
        (error: unknown) =>
          error instanceof Refusal ? error.reason : error instanceof IssuerUnavailable ? error.name : error,
      ),
  };
}

describe("keys by url", () => {
  test("1,000 unknown kids cause one fetch, and known ones still work", async () => {
    const { asked, outcome } = await issuer((_, response) => response.end(jwks));
    expect(await outcome(await token())).toBe("ann");
    const strangers = await Promise.all(Array.from({ length: 1000 }, async (_, n) => outcome(await token(`x${n}`))));
    expect(new Set(strangers)).toEqual(new Set(["INVALID_CREDENTIAL"]));
    expect(await outcome(await token())).toBe("ann");
    expect(asked()).toBe(1);
  });

  test.each<[string, RequestListener]>([
    ["is down", (request) => request.socket.destroy()],
    ["answers 500", (_, response) => response.writeHead(500).end()],
    ["answers something else", (_, response) => response.end("<html>")],
    ["answers JSON that is no key set", (_, response) => response.end("{}")],
    ["redirects", (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()],
    ["never answers", () => {}],
    ["answers without end", (_, response) => response.end(`{"keys":["${"a".repeat(300_000)}"]}`)],
  ])("an issuer that %s lets nobody in, and is left alone for a while", async (_, answer) => {
    const { asked, outcome } = await issuer(answer);
    for (let n = 0; n < 5; n++) expect(await outcome(await token())).toBe("IssuerUnavailable");
    expect(asked()).toBe(1);
  });

  test("a rotated key is found after the cool-down, and old keys end with their age", async () => {
    let published = JSON.stringify({ keys: [] });
    const { outcome } = await issuer((_, response) => response.end(published), {
      cooldownMs: 0,
      maxAgeMs: 0,
      timeoutMs: 300,
    });
    expect(await outcome(await token())).toBe("INVALID_CREDENTIAL");
    published = jwks;
    expect(await outcome(await token())).toBe("ann");
    published = "down";
    expect(await outcome(await token("k1"))).toBe("IssuerUnavailable");
  });
});

describe("keys by file", () => {
  const file = (text: string) => {
    const path = join(mkdtempSync(join(tmpdir(), "mfa-jwks-")), "jwks.json");
    writeFileSync(path, text);
    return path;
  };

  test.each(["{}", '{"keys":[]}', '{"keys":[{"kty":"RSA","n":"x","e":"AQAB"}]}'])("%s is refused", async (text) => {
    await expect(keysOfFile(file(text))).rejects.toThrow("holds no Ed25519 or P-256 key");
  });

  test("a good one is read", async () => {
    await expect(keysOfFile(file(jwks))).resolves.toBeTypeOf("function");
  });
});
