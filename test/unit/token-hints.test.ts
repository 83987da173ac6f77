// What operators are told to do about a refused token, by what it is.
import { describe, expect, test } from "vitest";
import { createTokenAuthentication } from "../../src/rpc/access/authentication.ts";
import { readKeySet } from "../../src/rpc/access/tokens/key-set.ts";
import type { Preset } from "../../src/rpc/access/tokens/presets.ts";
import { CredentialRejected, type Failure } from "../../src/rpc/access/tokens/rejected.ts";
import { tokenRules } from "../../src/rpc/access/tokens/token-rules.ts";
import { keyFor, modelledTokens, signAs } from "../support/fakes/identity-providers.ts";

const now = new Date("2026-03-01T12:00:00Z");
const seconds = now.getTime() / 1000;

interface Over {
  readonly header?: object;
  readonly claims?: object;
  readonly key?: Uint8Array;
}

/** What is told of a provider's token that differs from the usual one, with the provider's preset or without. */
async function told(
  provider: "keycloak" | "okta" | "logto",
  over: Over,
  preset?: Preset,
): Promise<Failure | undefined> {
  const token = modelledTokens[provider];
  const rules = tokenRules({}, preset);
  const { keys } = readKeySet((await keyFor(token.header.alg)).jwks, rules.algorithms);
  const issuer = String(token.claims.iss);
  const authenticate = createTokenAuthentication([{ issuer, keys, rules, tenantId: "main" }]);
  const shown = `Bearer ${await signAs(token, now, over)}`;
  const thrown = await authenticate(shown, now).catch((error: unknown) => error);
  return thrown instanceof CredentialRejected ? thrown.failure : undefined;
}

const secret = new Uint8Array(64);

describe("of Keycloak's tokens operators are told", () => {
  test("nothing of one with the type of RFC 9068, which its preset takes as well", async () => {
    expect(await told("keycloak", { header: { typ: "at+jwt" } }, "keycloak")).toBeUndefined();
  });

  test.each<[string, Over, string, RegExp]>([
    [
      "a refresh token, which is signed by a secret",
      { header: { alg: "HS512" }, claims: { typ: "Refresh" }, key: secret },
      "algorithm HS512 not allowed for this issuer",
      /^none: this is a refresh token, .* the client has to send the access token$/,
    ],
    [
      "an offline token that is signed by a key pair",
      { claims: { typ: "Offline" } },
      "claim typ is Offline, expected Bearer",
      /^none: this is a refresh token/,
    ],
    ["a log-out token", { header: { typ: "logout+jwt" } }, "typ logout+jwt, expected JWT or at+jwt", /no access token/],
    [
      "a nonce, as before version 25",
      { claims: { nonce: "n" } },
      "an ID token: it has nonce",
      /ID token is never an access token.*Keycloak before version 25/,
    ],
    [
      "no subject",
      { claims: { sub: undefined, client_id: "shop" } },
      "no subject (sub)",
      /client scope basic.*"claims": \{"subject": "client_id"\} or "claims": \{"subject": "azp"\}/,
    ],
    [
      "an audience of another service",
      { claims: { aud: "billing" } },
      'audience ["billing"]: none of "mfa", "mfa-admin", "mfa-internal"',
      /have the provider name .*"audience": \{"billing": "user"\}, or "admin" or "service"/,
    ],
    [
      "a moment's expiry",
      { claims: { exp: seconds - 90 } },
      "expired 90 s ago",
      /a new token; if it has just got this one, is this machine's clock right\? It says 2026-03-01T12:00:00\.000Z/,
    ],
    ["an expiry of long ago", { claims: { exp: seconds - 90_000 } }, "expired 25 h ago", /^none: .* a new token$/],
    [
      "DPoP",
      { claims: { cnf: { jkt: "x" } } },
      "bound to a key of its client (cnf: jkt), whose proof is not verified here",
      /without DPoP or mutual TLS/,
    ],
    [
      "a certificate",
      { claims: { cnf: { "x5t#S256": "x" } } },
      "bound to a key of its client (cnf: x5t#S256), whose proof is not verified here",
      /bearer token/,
    ],
  ])("%s", async (_, over, text, setting) => {
    const failure = await told("keycloak", over, "keycloak");
    expect(failure?.text).toBe(text);
    expect(failure?.setting).toMatch(setting);
  });

  test("two audiences without a preset: which of them is known", async () => {
    const failure = await told("keycloak", { header: { typ: "at+jwt" } });
    expect(failure).toMatchObject({
      text: 'audience ["mfa","account"]: two, one expected',
      setting: '"audience": {"mfa": "user"}',
    });
    const service = await told("keycloak", { header: { typ: "at+jwt" }, claims: { aud: ["account", "mfa-internal"] } });
    expect(service?.setting).toBe('"audience": {"mfa-internal": "service"}');
  });
});

test("an algorithm that the settings may allow is added to those that they do, and no other is offered", async () => {
  expect((await told("logto", {}))?.setting).toBe('"algorithms": ["EdDSA", "Ed25519", "ES256", "RS256", "ES384"]');
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const { iss } = modelledTokens.logto.claims;
  const authenticate = createTokenAuthentication([
    { issuer: String(iss), keys: () => Promise.reject(new Error("unused")) },
  ]);
  const strange = `${part({ alg: "ES256K", typ: "at+jwt" })}.${part({ iss })}.AAAA`;
  await expect(authenticate(`Bearer ${strange}`, now)).rejects.toMatchObject({
    failure: { setting: expect.stringMatching(/^none: the issuer has to sign with one of RS256, .*Ed25519$/) },
  });
});

test("an issuer that is unknown is not simply to be added, as anybody may have written the token", async () => {
  const authenticate = createTokenAuthentication([]);
  const shown = `Bearer ${await signAs(modelledTokens.okta, now)}`;
  await expect(authenticate(shown, now)).rejects.toMatchObject({
    failure: { check: "issuer", setting: expect.stringMatching(/^if it is yours, "issuers"/) },
  });
});
