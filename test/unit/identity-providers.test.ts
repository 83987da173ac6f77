// What the pages of docs/integrate/identity-providers promise: the settings on each are read as they stand, and take a
// token as the provider issues it.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { loadIssuers } from "../../src/config/config.ts";
import type { Caller } from "../../src/core/caller.ts";
import { createTokenAuthentication } from "../../src/rpc/access/authentication.ts";
import { openIssuer } from "../../src/rpc/access/tokens/configured.ts";
import { PRESETS, type Preset } from "../../src/rpc/access/tokens/presets.ts";
import { CredentialRejected } from "../../src/rpc/access/tokens/rejected.ts";
import { keyFor, modelledTokens, signAs } from "../support/fakes/identity-providers.ts";

const now = new Date("2026-03-01T12:00:00Z");
const pages = join(import.meta.dirname, "../../docs/integrate/identity-providers");

/** Loads a list of issuers as the settings file would have it, with a key file in place of the provider's keys. */
async function authentication(issuers: readonly object[], alg: string) {
  const folder = mkdtempSync(join(tmpdir(), "mfa-idp-"));
  const jwksFile = join(folder, "jwks.json");
  writeFileSync(jwksFile, JSON.stringify((await keyFor(alg)).jwks));
  const withFile = issuers.map(
    ({ discovery: _, jwksUrl: __, ...rest }: { discovery?: unknown; jwksUrl?: unknown }) => ({
      ...rest,
      jwksFile,
    }),
  );
  const path = join(folder, "settings.json");
  writeFileSync(path, JSON.stringify({ issuers: withFile }));
  const loaded = loadIssuers([], { MFA_CONFIG: path });
  const authenticate = createTokenAuthentication(await Promise.all(loaded.issuers.map(openIssuer)));
  return async (token: string): Promise<Caller | string> =>
    authenticate(`Bearer ${token}`, now).catch((error: unknown) => {
      if (error instanceof CredentialRejected) return error.failure.text;
      throw error;
    });
}

/** The entry of the issuer on a provider's page, for the issuer that the modelled token has. */
function entryOnPage(preset: Preset): { readonly issuer: string; readonly preset: string } {
  const text = readFileSync(join(pages, `${preset}.md`), "utf8");
  const [, json = ""] = /^```json\n([\s\S]*?)^```$/m.exec(text) ?? [];
  return JSON.parse(json).issuers[0];
}

const expected: Readonly<Partial<Record<Preset, Partial<Caller>>>> = {
  keycloak: { sessionId: "a1", acr: "aal1", authTime: now },
  entra: { subject: "o", tenantId: "main", scopes: new Set(["mfa.self"]) },
  okta: { scopes: new Set(["openid", "mfa.read"]) },
  cognito: { sessionId: "s1", authTime: now },
  "google-identity-platform": { acr: "aal2", authTime: now },
  authentik: { acr: "aal2", authTime: now },
  kratos: { acr: "aal2", sessionId: "s", authTime: now },
  supabase: { acr: "aal2", sessionId: "s1" },
  spring: { scopes: new Set(["openid", "mfa.read"]) },
};

test("every preset has its page, and every page its preset", () => {
  const named = readdirSync(pages).flatMap((file) => (file === "README.md" ? [] : [file.replace(".md", "")]));
  expect(named.sort()).toEqual([...PRESETS].sort());
});

describe.each(PRESETS)("%s", (preset) => {
  const token = modelledTokens[preset];
  const iss = String(token.claims.iss);
  const { neverBecause } = token;

  test("its page names the preset and a tenant", () => {
    expect(entryOnPage(preset)).toMatchObject({ preset, tenant: "main" });
  });

  test("without its preset, its token is refused and the check named", async () => {
    const known = token.header.alg === "ES384" ? "ES256" : token.header.alg;
    const look = await authentication([{ issuer: iss, tenant: "main" }], known);
    expect(await look(await signAs(token, now))).toBe(token.refusedBy);
  });

  test(`with the settings of its page, its token is ${neverBecause ? "refused as an ID token" : "accepted"}`, async () => {
    const look = await authentication([{ ...entryOnPage(preset), issuer: iss }], token.header.alg);
    const seen = await look(await signAs(token, now));
    if (neverBecause) expect(seen).toMatch(neverBecause);
    else expect(seen).toMatchObject({ principal: Principal.USER, tenantId: "main", ...expected[preset] });
  });

  const mustNot: [string, object, object?][] = [
    ["its ID token (nonce)", { nonce: "n" }],
    ["its ID token (at_hash)", { at_hash: "h" }],
    ["its ID token (c_hash)", { c_hash: "h" }],
    ["a log-out token", { events: { "http://schemas.openid.net/event/backchannel-logout": {} } }],
    ["a token for somebody else", { aud: "somebody-else", client_id: "somebody-else" }],
    ["a token for two of ours", { aud: ["mfa", "mfa-admin"], client_id: "other" }],
    ["an audience list with a number in it", { aud: ["mfa", 1], client_id: ["4fx"] }],
    ["no audience", { aud: undefined, client_id: undefined }],
    ["a subject that is a list", { sub: ["a"], oid: ["a"] }],
    ["a life of 90 days", { exp: now.getTime() / 1000 + 90 * 86_400 }],
    ["an expiry that is no number", { exp: "4102444800" }],
    ["another type", {}, { typ: "dpop+jwt" }],
    ["a critical header", {}, { crit: ["x"], x: 1 }],
    ["a token that is bound to a key of its client (DPoP)", { cnf: { jkt: "k" } }],
    ["a token that is bound to a certificate of its client", { cnf: { "x5t#S256": "k" } }],
  ];
  test.each(mustNot)("%s is refused", async (_, claims, header = {}) => {
    const look = await authentication([{ ...entryOnPage(preset), issuer: iss }], token.header.alg);
    expect(await look(await signAs(token, now, { claims, header }))).toEqual(expect.any(String));
  });

  test("a key that is not the issuer's is refused: in the header, behind a url there, or as a shared secret", async () => {
    const { alg } = token.header;
    const look = await authentication([{ ...entryOnPage(preset), issuer: iss }], alg);
    const secret = Buffer.from(JSON.stringify((await keyFor(alg)).jwks.keys[0]));
    for (const shared of ["HS256", "HS512"]) {
      const forged = await signAs(token, now, { header: { alg: shared }, key: secret });
      expect(await look(forged)).toBe(`algorithm ${shared} not allowed for this issuer`);
    }
    const { privateKey: key, jwks } = await keyFor(alg, "attacker");
    for (const header of [
      {},
      { jwk: jwks.keys[0] },
      { jku: "https://evil.test/jwks" },
      { x5u: "https://evil.test/c" },
    ]) {
      expect(await look(await signAs(token, now, { header, key }))).toBe("the signature is not by the issuer's key");
    }
    for (const other of ["RS256", "ES256", "EdDSA"].filter((one) => one !== alg)) {
      const { privateKey } = await keyFor(other, "attacker");
      expect(await look(await signAs(token, now, { header: { alg: other }, key: privateKey }))).toMatch(
        /not allowed for this issuer|kid k1 is .*, no key for/,
      );
    }
  });
});

describe("Google's sign-in ID token", () => {
  const iss = "https://accounts.google.test";
  const google = {
    header: { alg: "RS256", typ: "JWT" },
    claims: { iss, azp: "c.apps", aud: "c.apps", sub: "110169484474386276334", email: "jo@x.test" },
  };
  const relaxed = { typ: "JWT", algorithms: ["RS256"] };

  test.each<[string, object, string]>([
    ["a tenant alone", {}, "typ JWT, expected at+jwt"],
    ["typ relaxed", { ...relaxed, audience: { mfa: "user" } }, 'audience ["c.apps"]: none of "mfa"'],
    ["its client listed", { ...relaxed, clientIds: ["c.apps"] }, "an ID token: its audience c.apps is a client"],
    [
      "the preset of Identity Platform, its client mapped as an audience",
      { preset: "google-identity-platform", audience: { "c.apps": "user" } },
      "an ID token: it has azp",
    ],
  ])("is refused with %s, and the check named", async (_, settings, reason) => {
    const look = await authentication([{ issuer: iss, tenant: "main", ...settings }], "RS256");
    expect(await look(await signAs(google, now))).toBe(reason);
  });
});

describe("an RFC 9068 token with the tenant alone in its issuer's settings", () => {
  test.each([
    ["RS256", "RS256"],
    ["ES256", "ES256"],
    ["EdDSA", "EdDSA"],
    ["Ed25519", "EdDSA"],
    ["EdDSA", "Ed25519"],
  ])("is accepted when signed by %s, with a key made for %s", async (alg, made) => {
    const { privateKey: key } = await keyFor(made);
    const look = await authentication([{ issuer: "https://idp", tenant: "main" }], made);
    const token = { header: { alg, typ: "at+jwt" }, claims: { iss: "https://idp", aud: "mfa", sub: "ann" } };
    expect(await look(await signAs(token, now, { key }))).toMatchObject({ subject: "ann", tenantId: "main" });
  });
});

describe("settings of an issuer", () => {
  const service = {
    header: { alg: "ES256", typ: "at+jwt" },
    claims: { iss: "https://idp", aud: "mfa-internal", sub: "shop" },
  };
  /** The scopes that a token of a backend gives under settings. */
  const scopesBy = async (settings: object, claims: object) => {
    const look = await authentication([{ issuer: "https://idp", tenant: "main", ...settings }], "ES256");
    const seen = await look(await signAs(service, now, { claims }));
    return typeof seen === "string" ? seen : [...seen.scopes].sort();
  };

  test("scopes are read where the settings say, and nowhere else", async () => {
    const everywhere = { scp: ["a"], permissions: ["b"], roles: ["c"], realm_access: { roles: ["d"] }, scope: "e f" };
    expect(await scopesBy({}, everywhere)).toEqual(["e", "f"]);
    expect(await scopesBy({}, { scope: ["mfa.status.read"] })).toEqual(["mfa.status.read"]);
    for (const [path, seen] of [
      ["scp", ["a"]],
      ["permissions", ["b"]],
      ["roles", ["c"]],
      ["realm_access.roles", ["d"]],
    ]) {
      expect(await scopesBy({ claims: { scopes: [path] } }, everywhere)).toEqual(seen);
    }
    const url = { "https://acme.example/perms": ["x"] };
    expect(await scopesBy({ claims: { scopes: ["https://acme.example/perms"] } }, url)).toEqual(["x"]);
    const prefixed = { claims: { scopePrefix: "api://mfa/" } };
    expect(await scopesBy(prefixed, { scope: "api://mfa/mfa.verify mfa.admin" })).toEqual(["mfa.verify"]);
  });

  test("a role gives the scopes that it is mapped to, and none by being named like one", async () => {
    const claims = { roles: { "realm_access.roles": { clerk: ["mfa.status.read"] } } };
    const roles = (...list: unknown[]) => ({ scope: "", realm_access: { roles: list } });
    expect(await scopesBy({ claims }, roles("clerk", "mfa.reset"))).toEqual(["mfa.status.read"]);
    for (const odd of ["__proto__", "constructor", "toString", "clerk mfa.verify"]) {
      expect(await scopesBy({ claims }, roles(odd))).toEqual([]);
    }
    expect(await scopesBy({ claims }, roles("clerk", 1))).toEqual([]);
    expect(await scopesBy({ claims }, { realm_access: "clerk" })).toEqual([]);
    const inherited = { realm_access: JSON.parse('{"__proto__": {"roles": ["clerk"]}}') };
    expect(await scopesBy({ claims }, inherited)).toEqual([]);
    const byObject = { claims: { roles: { "urn:zitadel:iam:org:project:roles": { clerk: ["mfa.status.read"] } } } };
    const zitadel = { "urn:zitadel:iam:org:project:roles": { clerk: { "1": "acme.test" } } };
    expect(await scopesBy(byObject, zitadel)).toEqual(["mfa.status.read"]);
  });

  test("an entry of a list with spaces in it is one scope, not several", async () => {
    expect(await scopesBy({}, { scope: ["mfa.read mfa.verify"] })).toEqual(["mfa.read mfa.verify"]);
  });

  test("roles and prefixes give a tenant's issuer nothing over what is every tenant's", async () => {
    const roles = { roles: { roles: { op: ["mfa.schedule.write", "mfa.read"] } }, scopePrefix: "p:" };
    const settings = { operator: false, claims: roles };
    expect(await scopesBy(settings, { roles: ["op"], scope: "p:mfa.schedule.read" })).toEqual(["mfa.read"]);
  });

  const user = { header: { alg: "ES256", typ: "JWT" }, claims: { iss: "https://idp", aud: "mfa", sub: "ann" } };
  const seenBy = async (settings: object, claims: object, header = {}) => {
    const look = await authentication([{ issuer: "https://idp", tenant: "main", typ: "JWT", ...settings }], "ES256");
    return look(await signAs(user, now, { claims, header }));
  };

  test("a level above the first is taken from the claims that the settings name", async () => {
    const levels = async (aal2: object, claims: object) => seenBy({ claims: { aal2 } }, claims);
    expect(await levels({ amr: ["mfa"] }, { amr: ["pwd", "mfa"] })).toMatchObject({ acr: "aal2" });
    expect(await levels({ amr: ["mfa"] }, { amr: ["pwd"], acr: "aal2" })).toMatchObject({ acr: "aal1" });
    expect(await levels({ acr: ["2", "gold"] }, { acr: "gold" })).toMatchObject({ acr: "aal2" });
    expect(await levels({ acr: ["2"] }, { acr: 2 })).toMatchObject({ acr: "aal1" });
    expect(await levels({ aal: ["aal2"] }, { aal: { aal2: true } })).toMatchObject({ acr: "aal1" });
  });

  test("auth_time is read in the form that the settings name, and in no other", async () => {
    const ms = now.getTime();
    const timeBy = async (as: string, auth_time: unknown) => {
      const seen = await seenBy({ claims: { authTime: { as } } }, { auth_time });
      return typeof seen === "string" ? seen : seen.authTime?.getTime();
    };
    expect(await timeBy("number", ms / 1000)).toBe(ms);
    expect(await timeBy("milliseconds", ms)).toBe(ms);
    expect(await timeBy("text", String(ms / 1000))).toBe(ms);
    expect(await timeBy("text", now.toISOString())).toBe(ms);
    for (const [as, value] of [
      ["number", String(ms / 1000)],
      ["number", ms * 1e6],
      ["text", ms],
      ["text", "yesterday"],
    ]) {
      expect(await timeBy(String(as), value)).toBe(undefined);
    }
  });

  test("a client's id among the audiences makes a token an ID token", async () => {
    const settings = { clientIds: ["web"], audience: { mfa: "user" } };
    expect(await seenBy(settings, { aud: ["mfa", "web"] })).toBe("an ID token: its audience web is a client");
    expect(await seenBy(settings, { aud: ["mfa", "other"] })).toMatchObject({ subject: "ann" });
    expect(await seenBy({}, { typ: "ID" })).toBe("an ID token: it says so itself");
  });

  test("the tenant comes from Entra's tid where it is asked for, and not else", async () => {
    const claims = { tid: "entra-tenant" };
    expect(await seenBy({}, claims)).toMatchObject({ tenantId: "main" });
    expect(await seenBy({ tenant: undefined, claims: { tenant: "tid" } }, claims)).toMatchObject({
      tenantId: "entra-tenant",
    });
    await expect(seenBy({ tenant: undefined }, claims)).rejects.toThrow("whose are its tokens?");
  });

  test("a life beyond a day is refused unless the settings allow it", async () => {
    const exp = now.getTime() / 1000 + 90 * 86_400;
    expect(await seenBy({}, { exp })).toBe("lifetime 90 d over 24 h");
    expect(await seenBy({ maxLifetime: 91 * 86_400 }, { exp })).toMatchObject({ subject: "ann" });
  });

  test("two issuers are not mixed up: neither by key, nor by algorithm, nor by audience", async () => {
    const look = await authentication(
      [
        { issuer: "https://idp", tenant: "a", typ: "JWT", algorithms: ["RS256"] },
        { issuer: "https://other", tenant: "b", audience: { "mfa-admin": "admin" } },
      ],
      "ES256",
    ).catch((error: Error) => error.message);
    expect(look).toMatch(/holds no RSA key \(RS256; RSA of 2048 bits or more\): only EC P-256/);
    const both = await authentication(
      [
        { issuer: "https://idp", tenant: "a", typ: "JWT" },
        { issuer: "https://other", tenant: "b", audience: { "mfa-admin": "admin" } },
      ],
      "ES256",
    );
    expect(await both(await signAs(user, now, { claims: { aud: "mfa-admin" } }))).toMatchObject({ tenantId: "a" });
    expect(await both(await signAs(user, now, { claims: { iss: "https://other" } }))).toMatch(/^typ JWT/);
    const typed = { header: { typ: "at+jwt" } };
    expect(await both(await signAs(user, now, { ...typed, claims: { iss: "https://other" } }))).toBe(
      'audience ["mfa"]: none of "mfa-admin"',
    );
    expect(await both(await signAs(user, now, { claims: { iss: "https://idp/" } }))).toMatch(
      /^issuer unknown: .* https:\/\/idp is known/,
    );
  });

  test("a name that stands twice in a token is refused, whatever it is", async () => {
    const look = await authentication([{ issuer: "https://idp", tenant: "main" }], "ES256");
    const part = (text: string) => Buffer.from(text).toString("base64url");
    for (const claims of [
      '{"iss":"https://idp","sub":"ann","sub":"root"}',
      '{"iss":"https://idp","a":{"b":1,"\\u0062":2}}',
    ]) {
      expect(await look(`${part('{"alg":"ES256"}')}.${part(claims)}.${part("x")}`)).toBe(
        "not one JSON object: a member is there twice",
      );
    }
  });

  const wrong: [string, object, RegExp][] = [
    ["HMAC", { algorithms: ["HS256"] }, /HMAC and "none" are never taken/],
    ["no algorithm", { algorithms: [] }, /algorithms/],
    ["an unknown preset", { preset: "keyclock" }, /preset/],
    ["an unknown kind", { audience: { mfa: "root" } }, /audience/],
    ["a client that is an audience", { clientIds: ["mfa"], audience: { mfa: "user" } }, /whose tokens are refused/],
    ["two ways to say the audience", { audiences: ["mfa"], audience: { mfa: "user" } }, /drop "audiences"/],
    ["Cognito without its clients", { preset: "cognito" }, /"audience" is missing.*client_id/],
    ["Entra without its application", { preset: "entra" }, /"audience" is missing/],
    ["a path through every object's prototype", { claims: { scopes: ["__proto__.x"] } }, /no path to a claim/],
    ["roles of every object", { claims: { roles: JSON.parse('{"__proto__": {}}') } }, /names that every object has/],
    ["a scope with a space", { claims: { roles: { roles: { a: ["b c"] } } } }, /without spaces/],
    ["a misspelt claim", { claims: { tennant: "t" } }, /tennant/],
    ["a life of years", { maxLifetime: 1e9 }, /maxLifetime/],
  ];
  test.each(wrong)("%s is refused at the start", async (_, settings, message) => {
    await expect(authentication([{ issuer: "https://idp", tenant: "main", ...settings }], "ES256")).rejects.toThrow(
      message,
    );
  });
});
