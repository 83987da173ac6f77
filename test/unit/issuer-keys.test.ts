import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { Refusal } from "../../src/core/refusal.ts";
import { createTokenAuthentication } from "../../src/rpc/access/authentication.ts";
import { IssuerUnavailable, issuerKeys, keysOfFile } from "../../src/rpc/access/issuer-keys.ts";
import { portOf } from "../support/engine/port.ts";

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
  let time = 0;
  const server = createServer((request, response) => {
    asked++;
    answer(request, response);
  });
  const url = `http://127.0.0.1:${await portOf(server)}/jwks`;
  const authenticate = createTokenAuthentication(
    [{ issuer: "https://login", keys: issuerKeys({ url }, undefined, options, () => time) }],
    0,
  );
  return {
    asked: () => asked,
    pass: (ms: number) => {
      time += ms;
    },
    outcome: async (jwt: string) =>
      authenticate(`Bearer ${jwt}`, new Date()).then(
        (caller) => caller.subject,
        (error: unknown) =>
          error instanceof Refusal ? error.reason : error instanceof IssuerUnavailable ? error.name : error,
      ),
  };
}

describe("keys by url", () => {
  test("1,000 unknown kids cause three fetches at most, and known ones still work", async () => {
    const patient = { cooldownMs: 30_000, maxAgeMs: 600_000, timeoutMs: 10_000 };
    const { asked, outcome } = await issuer((_, response) => response.end(jwks), patient);
    expect(await outcome(await token())).toBe("ann");
    const strangers = await Promise.all(Array.from({ length: 1000 }, async (_, n) => outcome(await token(`x${n}`))));
    expect(new Set(strangers)).toEqual(new Set(["INVALID_CREDENTIAL"]));
    expect(await outcome(await token())).toBe("ann");
    expect(asked()).toBeLessThanOrEqual(4);
  });

  test("an answer without an end is read no further than key sets are long", async () => {
    let sent = 0;
    const server = createServer((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write("x".repeat(16_384))) sent += 16_384;
      };
      response.on("drain", more);
      more();
    });
    const url = `http://127.0.0.1:${await portOf(server)}/jwks`;
    await expect(issuerKeys({ url }).preload()).rejects.toThrow("more than 256 KiB");
    // What sockets hold on the way comes on top.
    expect(sent).toBeLessThan(16 * 1024 * 1024);
  });

  test("a key is good from its first token on", async () => {
    let published = JSON.stringify({ keys: [{ ...JSON.parse(jwks).keys[0], kid: "k0" }] });
    const { asked, outcome } = await issuer((_, response) => response.end(published));
    expect(await outcome(await token("k0"))).toBe("ann");
    published = jwks;
    expect(await outcome(await token())).toBe("ann");
    expect(asked()).toBe(2);
  });

  test("ten calls at once share one fetch, and all come in", async () => {
    const { asked, outcome } = await issuer((_, response) => response.end(jwks));
    const tokens = await Promise.all(Array.from({ length: 10 }, () => token()));
    expect(await Promise.all(tokens.map(outcome))).toEqual(Array(10).fill("ann"));
    expect(asked()).toBe(1);
  });

  test("an issuer that is away for less than five minutes costs no call", async () => {
    let isAway = false;
    const { outcome, pass } = await issuer((_, response) => response.writeHead(isAway ? 503 : 200).end(jwks));
    expect(await outcome(await token())).toBe("ann");
    isAway = true;
    for (let minute = 0; minute < 9; minute++) {
      pass(60_000);
      expect(await outcome(await token())).toBe("ann");
    }
    pass(61_000);
    expect(await outcome(await token())).toBe("IssuerUnavailable");
    isAway = false;
    pass(30_000);
    expect(await outcome(await token())).toBe("ann");
  });

  test("an issuer is asked again a second after a failure", async () => {
    let isAway = true;
    const { outcome, pass } = await issuer((_, response) => response.writeHead(isAway ? 503 : 200).end(jwks));
    expect(await outcome(await token())).toBe("IssuerUnavailable");
    isAway = false;
    pass(1000);
    expect(await outcome(await token())).toBe("ann");
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

describe("keys by discovery", () => {
  /** An issuer that publishes metadata at a path below its name, and its keys. */
  async function discovered(at: string, stated = (name: string) => name) {
    let name = "";
    const server = createServer((request, response) => {
      if (request.url === "/jwks") return response.end(jwks);
      if (request.url !== at) return response.writeHead(404).end();
      return response.end(JSON.stringify({ issuer: stated(name), jwks_uri: `${new URL(name).origin}/jwks` }));
    });
    name = `http://127.0.0.1:${await portOf(server)}/realms/main`;
    const keys = issuerKeys({ discoverFrom: name });
    const authenticate = createTokenAuthentication([{ issuer: name, keys }]);
    const jwt = await new SignJWT({ tid: "acme", iss: name, aud: "mfa", sub: "ann" })
      .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: "k1" })
      .setExpirationTime("5m")
      .sign(pair.privateKey);
    return { keys, verified: () => authenticate(`Bearer ${jwt}`, new Date()) };
  }

  test.each([
    ["OpenID Connect Discovery", "/realms/main/.well-known/openid-configuration"],
    ["RFC 8414", "/.well-known/oauth-authorization-server/realms/main"],
  ])("are found by %s", async (_, at) => {
    expect(await (await discovered(at)).verified()).toMatchObject({ subject: "ann" });
  });

  test("metadata of another issuer give no keys, and say so", async () => {
    const at = "/realms/main/.well-known/openid-configuration";
    const { verified } = await discovered(at, (name) => `${name}/`);
    await expect(verified()).rejects.toThrow(/the metadata is of the issuer ".*\/realms\/main\/"/);
  });

  test.each([
    ["over plain http", "http://10.0.0.1/jwks"],
    ["to another machine by a name that begins like this one's", "http://localhost:x@keys.test/jwks"],
    ["to a file", "file:///etc/keys.json"],
  ])("metadata that send for keys %s give none", async (_, jwks_uri) => {
    const server = createServer((_, response) => response.end(JSON.stringify({ issuer: name, jwks_uri })));
    const name = `http://127.0.0.1:${await portOf(server)}`;
    await expect(issuerKeys({ discoverFrom: name }).preload()).rejects.toThrow("no jwks_uri over https");
  });

  test("a fetched set without a usable key says so, as a file does", async () => {
    const server = createServer((_, response) => response.end('{"keys":[{"kty":"EC","crv":"P-384"}]}'));
    const url = `http://127.0.0.1:${await portOf(server)}/jwks`;
    expect(await issuerKeys({ url }).preload()).toBe(
      `${url} holds no Ed25519, P-256 or RSA key (EdDSA, Ed25519, ES256, RS256; RSA of 2048 bits or more): only EC P-384`,
    );
  });
});

describe("keys by file", () => {
  const file = (text: string) => {
    const path = join(mkdtempSync(join(tmpdir(), "mfa-jwks-")), "jwks.json");
    writeFileSync(path, text);
    return path;
  };

  test.each([
    ["{}", "no JSON Web Key Set"],
    ['{"keys":[]}', "holds no Ed25519, P-256 or RSA key"],
    ['{"keys":[{"kty":"RSA","n":"x","e":"AQAB"}]}', "only RSA of 0 bits"],
    ['{"keys":[{"kty":"EC","crv":"P-384","kid":"a"}]}', "only EC P-384"],
    ['{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "only oct"],
    ['{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","use":"enc"}]}', "only EC P-256"],
  ])("%s is refused, and the reason names the file", async (text, reason) => {
    const path = file(text);
    await expect(keysOfFile(path)).rejects.toThrow(path);
    await expect(keysOfFile(path)).rejects.toThrow(reason);
  });

  test("a good one is read", async () => {
    await expect(keysOfFile(file(jwks))).resolves.toBeTypeOf("function");
  });
});
