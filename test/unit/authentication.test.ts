import {
  type CryptoKey,
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  type JWTPayload,
  type JWTVerifyGetKey,
  SignJWT,
  UnsecuredJWT,
} from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { Refusal } from "../../src/core/refusal.ts";
import { type Authenticate, createTokenAuthentication } from "../../src/rpc/access/authentication.ts";

const now = new Date("2026-03-01T12:00:00Z");
const seconds = now.getTime() / 1000;
const valid = { iss: "https://login", aud: "mfa", sub: "ann", tid: "acme", exp: seconds + 60 };

let keys: { privateKey: CryptoKey; publicKey: CryptoKey };
let foreign: typeof keys;
let authenticate: Authenticate;

beforeAll(async () => {
  keys = await generateKeyPair("ES256", { extractable: true });
  foreign = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "ES256" };
  const published = createLocalJWKSet({ keys: [jwk] });
  authenticate = createTokenAuthentication([
    { issuer: "https://login", keys: published },
    { issuer: "https://single", keys: published, tenantId: "only", audiences: ["mfa"] },
    { issuer: "https://tenant", keys: published, tenantId: "only" },
    { issuer: "https://operator", keys: published, tenantId: "only", operator: true },
  ]);
});

const sign = (claims: JWTPayload, header: Record<string, unknown> = {}, key?: CryptoKey | Uint8Array) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: "k1", ...header })
    .sign(key ?? keys.privateKey, { crit: { x: true } });

const outcome = async (token: string) => {
  const refusal = await authenticate(`Bearer ${token}`, now).catch((error: unknown) => error);
  return refusal instanceof Refusal ? refusal.reason : refusal;
};

describe("access tokens", () => {
  test("of a tenant's own issuer hold no scope over what is every tenant's; those of the operator's do", async () => {
    const scope = "mfa.read mfa.schedule.read mfa.schedule.write";
    const scopesBy = async (iss: string) => {
      const token = await sign({ ...valid, iss, aud: "mfa-admin", scope });
      return [...(await authenticate(`Bearer ${token}`, now)).scopes];
    };
    expect(await scopesBy("https://tenant")).toEqual(["mfa.read"]);
    expect(await scopesBy("https://operator")).toEqual(scope.split(" "));
  });

  test("a good one names the caller, its tenant, level, scopes and session", async () => {
    const told = { acr: "aal2", auth_time: seconds - 5, iat: seconds - 7, scope: "a b", sid: "s1" };
    const token = await sign({ ...valid, ...told });
    expect(await authenticate(`Bearer ${token}`, now)).toEqual({
      principal: Principal.USER,
      tenantId: "acme",
      subject: "ann",
      acr: "aal2",
      authTime: new Date((seconds - 5) * 1000),
      issueTime: new Date((seconds - 7) * 1000),
      scopes: new Set(["a", "b"]),
      sessionId: "s1",
    });
  });

  test("an issuer with a fixed tenant overrules what its tokens say", async () => {
    const caller = await authenticate(`Bearer ${await sign({ ...valid, iss: "https://single" })}`, now);
    expect(caller.tenantId).toBe("only");
  });

  test("an unknown or absent acr counts as aal1", async () => {
    for (const acr of [undefined, "aal3", "urn:other", 2]) {
      const token = await sign({ ...valid, ...(acr !== undefined && { acr }) });
      expect(await authenticate(`Bearer ${token}`, now)).toMatchObject({ acr: "aal1" });
    }
  });

  test("one that was good is good until it expires, and not a moment longer than clocks may differ", async () => {
    const header = `Bearer ${await sign(valid)}`;
    const later = (ms: number) => authenticate(header, new Date(now.getTime() + ms));
    expect((await authenticate(header, now)).subject).toBe("ann");
    expect((await later(89_000)).subject).toBe("ann");
    await expect(later(91_000)).rejects.toMatchObject({ reason: "INVALID_CREDENTIAL" });
  });

  const abuses: [string, () => Promise<string> | string][] = [
    ["alg none", () => new UnsecuredJWT(valid).encode()],
    [
      "HS256 with the public key",
      async () => sign(valid, { alg: "HS256" }, Buffer.from(JSON.stringify(await exportJWK(keys.publicKey)))),
    ],
    ["a foreign key under our kid", () => sign(valid, {}, foreign.privateKey)],
    ["a key of its own", async () => sign(valid, { jwk: await exportJWK(foreign.publicKey) }, foreign.privateKey)],
    ["a key by reference", () => sign(valid, { jku: "https://evil", kid: "../k1" }, foreign.privateKey)],
    ["an unknown critical header", () => sign(valid, { crit: ["x"], x: 1 })],
    ["another type", () => sign(valid, { typ: "JWT" })],
    ["another issuer", () => sign({ ...valid, iss: "https://login/" })],
    ["no issuer", () => sign({ ...valid, iss: "" })],
    ["another audience", () => sign({ ...valid, aud: "other" })],
    ["an audience that is a property of every object", () => sign({ ...valid, aud: "constructor" })],
    ["two audiences", () => sign({ ...valid, aud: ["mfa", "mfa-admin"] })],
    ["an audience its issuer may not issue for", () => sign({ ...valid, iss: "https://single", aud: "mfa-internal" })],
    ["no subject", () => sign({ ...valid, sub: "" })],
    ["a subject of 256 bytes", () => sign({ ...valid, sub: "a".repeat(256) })],
    ["a subject with a lone surrogate", () => sign({ ...valid, sub: "x\ud800" })],
    ["a subject with a NUL", () => sign({ ...valid, sub: "x\0" })],
    ["a tenant with a NUL", () => sign({ ...valid, tid: "x\0" })],
    ["a life of years", () => sign({ ...valid, exp: seconds + 25 * 3600 })],
    ["no tenant", () => sign({ ...valid, tid: "" })],
    ["an expiry 31 s ago", () => sign({ ...valid, exp: seconds - 31 })],
    ["no expiry", () => sign({ iss: valid.iss, aud: valid.aud, sub: valid.sub, tid: valid.tid })],
    ["a start in the future", () => sign({ ...valid, nbf: seconds + 31 })],
    ["nothing", () => ""],
    ["a megabyte", () => "a".repeat(1_000_000)],
  ];
  test.each(abuses)("%s is refused", async (_, make) => {
    expect(await outcome(await make())).toBe("INVALID_CREDENTIAL");
  });

  test("an audience list of one and a clock 29 s apart are fine", async () => {
    expect(await outcome(await sign({ ...valid, aud: ["mfa"], exp: seconds - 29 }))).toMatchObject({ subject: "ann" });
  });

  test.each([null, "", "Basic YTpi", "bearer x"])("the header %o is refused", async (header) => {
    await expect(authenticate(header, now)).rejects.toMatchObject({ reason: "INVALID_CREDENTIAL" });
  });
});

test("verified tokens are remembered, so many and no more: the oldest is verified anew", async () => {
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "ES256" };
  const published = createLocalJWKSet({ keys: [jwk] });
  let verified = 0;
  const counting: JWTVerifyGetKey = (...header) => {
    verified += 1;
    return published(...header);
  };
  const remembering = createTokenAuthentication([{ issuer: "https://login", keys: counting }], 3);
  const tokens = await Promise.all(["a", "b", "c", "d"].map((sub) => sign({ ...valid, sub })));
  const show = async (token = "") => remembering(`Bearer ${token}`, now);
  for (const token of tokens.slice(0, 3)) await show(token);
  for (const token of tokens.slice(0, 3)) await show(token);
  expect(verified).toBe(3);
  await show(tokens[3]);
  for (const token of tokens.slice(1)) await show(token);
  expect(verified).toBe(4);
  await show(tokens[0]);
  expect(verified).toBe(5);
});
