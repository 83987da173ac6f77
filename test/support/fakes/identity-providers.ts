import { type CryptoKey, exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from "jose";
import type { Preset } from "../../../src/rpc/access/tokens/presets.ts";

/** An access token as a provider issues it when it was just installed. */
export interface ModelledToken {
  readonly header: { readonly alg: string; readonly typ?: string };
  readonly claims: Readonly<Record<string, unknown>>;
  /** The check by which it is refused with the tenant alone in its issuer's settings. */
  readonly refusedBy: string;
  /** Why it is refused with the preset, too. */
  readonly neverBecause?: RegExp;
}

const user = "8b5e5d5e-0000-4000-8000-000000000001";

/** By preset. Times are added when a token is signed; "now" stands for that moment. */
export const modelledTokens: Readonly<Record<Preset, ModelledToken>> = {
  keycloak: {
    header: { alg: "RS256", typ: "JWT" },
    claims: {
      iss: "https://kc.example.test/realms/main",
      ...{ aud: ["mfa", "account"], sub: user, typ: "Bearer", azp: "web", sid: "a1", acr: "1", auth_time: "now" },
      scope: "openid profile email",
      realm_access: { roles: ["offline_access", "mfa.reset"] },
      resource_access: { account: { roles: ["view-profile"] } },
    },
    refusedBy: "typ JWT, expected at+jwt",
  },
  auth0: {
    header: { alg: "RS256", typ: "at+jwt" },
    claims: {
      iss: "https://acme.eu.auth0.test/",
      ...{ sub: "auth0|123456", client_id: "c", jti: "x", scope: "openid" },
      aud: ["mfa", "https://acme.eu.auth0.test/userinfo"],
    },
    refusedBy: 'audience ["mfa","https://acme.eu.auth0.test/userinfo"]: two, one expected',
  },
  entra: {
    header: { alg: "RS256", typ: "JWT" },
    claims: {
      aud: "99999999-2222-3333-4444-555555555555",
      iss: "https://login.microsoftonline.test/11111111-2222-3333-4444-555555555555/v2.0",
      ...{ azp: "c", oid: "o", scp: "mfa.self", sub: "pairwise", ver: "2.0" },
      tid: "11111111-2222-3333-4444-555555555555",
    },
    refusedBy: "typ JWT, expected at+jwt",
  },
  okta: {
    header: { alg: "RS256" },
    claims: {
      iss: "https://acme.okta.test/oauth2/default",
      ...{ ver: 1, jti: "AT.x", aud: "mfa", cid: "c", uid: "00u1", scp: ["openid", "mfa.read"], auth_time: "now" },
      sub: "jo@example.test",
    },
    refusedBy: "no typ, expected at+jwt",
  },
  cognito: {
    header: { alg: "RS256" },
    claims: {
      iss: "https://cognito-idp.eu-west-1.amazonaws.test/eu-west-1_abc",
      ...{
        sub: user,
        client_id: "4fxexampleclientid",
        origin_jti: "s1",
        event_id: "e",
        token_use: "access",
        auth_time: "now",
      },
      ...{ scope: "aws.cognito.signin.user.admin", jti: "j", username: "jo" },
    },
    refusedBy: "no typ, expected at+jwt",
  },
  "google-identity-platform": {
    header: { alg: "RS256", typ: "JWT" },
    claims: {
      iss: "https://securetoken.google.test/acme-prod",
      ...{ aud: "acme-prod", auth_time: "now", user_id: "u1", sub: "u1", email: "jo@x.test" },
      firebase: { identities: {}, sign_in_provider: "password", sign_in_second_factor: "totp" },
    },
    refusedBy: "typ JWT, expected at+jwt",
  },
  zitadel: {
    header: { alg: "RS256", typ: "JWT" },
    claims: {
      iss: "https://z.example.test",
      sub: "2871",
      aud: ["c@p", "283746512345678901"],
      client_id: "c@p",
      jti: "j",
    },
    refusedBy: "typ JWT, expected at+jwt",
  },
  authentik: {
    header: { alg: "RS256", typ: "JWT" },
    claims: {
      iss: "https://ak.example.test/application/o/mfa/",
      ...{
        sub: "h",
        aud: "mfa",
        acr: "goauthentik.io/providers/oauth2/default",
        amr: ["pwd", "mfa"],
        auth_time: "now",
      },
      ...{ azp: "mfa", uid: "x", scope: "openid" },
    },
    refusedBy: "typ JWT, expected at+jwt",
  },
  authelia: {
    header: { alg: "RS256", typ: "at+jwt" },
    claims: {
      iss: "https://auth.example.test",
      ...{ sub: user, aud: ["mfa", "https://app.example.test"], client_id: "app", scp: ["openid"], jti: "j" },
    },
    refusedBy: 'audience ["mfa","https://app.example.test"]: two, one expected',
  },
  hydra: {
    header: { alg: "RS256", typ: "JWT" },
    claims: { iss: "https://hydra.example.test/", aud: ["mfa"], client_id: "c", ext: {}, scp: ["openid"], sub: "u" },
    refusedBy: "typ JWT, expected at+jwt",
  },
  kratos: {
    header: { alg: "ES256", typ: "JWT" },
    claims: {
      iss: "https://kratos.example.test",
      ...{ sub: user, sid: "s", aud: "mfa", acr: "aal2", auth_time: "2026-03-01T13:00:00.000000123+01:00" },
    },
    refusedBy: "typ JWT, expected at+jwt",
  },
  dex: {
    header: { alg: "RS256" },
    claims: { iss: "https://dex.example.test/dex", sub: "CgNqbw", aud: "mfa", at_hash: "h" },
    refusedBy: "no typ, expected at+jwt",
    neverBecause: /an ID token: it has at_hash/,
  },
  logto: {
    header: { alg: "ES384", typ: "at+jwt" },
    claims: {
      iss: "https://logto.example.test/oidc",
      sub: "u",
      aud: "mfa",
      client_id: "c",
      scope: "mfa.read",
      jti: "j",
    },
    refusedBy: "algorithm ES384 not allowed for this issuer",
  },
  supabase: {
    header: { alg: "ES256", typ: "JWT" },
    claims: {
      iss: "https://ref.supabase.test/auth/v1",
      ...{ sub: user, aud: "authenticated", role: "authenticated", aal: "aal2", session_id: "s1", is_anonymous: false },
      amr: [{ method: "totp", timestamp: 1 }],
    },
    refusedBy: "typ JWT, expected at+jwt",
  },
  "better-auth": {
    header: { alg: "EdDSA" },
    claims: { iss: "https://app.example.test", aud: "mfa", sub: "u", id: "u", email: "jo@x.test" },
    refusedBy: "no typ, expected at+jwt",
  },
  spring: {
    header: { alg: "RS256" },
    claims: { iss: "https://sas.example.test", sub: "jo", aud: "mfa", scope: ["openid", "mfa.read"] },
    refusedBy: "no typ, expected at+jwt",
  },
};

/** A provider's key, made for a test. */
export interface ProvidersKey {
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwks: JSONWebKeySet;
}

const made = new Map<string, Promise<ProvidersKey>>();

/** A key pair of an algorithm and owner under the kid "k1", made once: RSA keys take their time. */
export function keyFor(alg: string, owner = "provider"): Promise<ProvidersKey> {
  const make = async (): Promise<ProvidersKey> => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    return { alg, privateKey, jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: "k1", use: "sig" }] } };
  };
  const key = made.get(`${owner} ${alg}`) ?? make();
  made.set(`${owner} ${alg}`, key);
  return key;
}

/** Signs a token as a provider does, good for five minutes from `now`; what is given goes over what is modelled. */
export async function signAs(
  { header, claims }: Pick<ModelledToken, "header" | "claims">,
  now: Date,
  over: { readonly header?: object; readonly claims?: object; readonly key?: CryptoKey | Uint8Array } = {},
): Promise<string> {
  const seconds = Math.floor(now.getTime() / 1000);
  const timed = Object.entries(claims).map(([name, value]) => [name, value === "now" ? seconds : value]);
  const stated = { iat: seconds, exp: seconds + 300, ...Object.fromEntries(timed), ...over.claims };
  return new SignJWT(stated)
    .setProtectedHeader({ ...header, kid: "k1", ...over.header })
    .sign(over.key ?? (await keyFor(header.alg)).privateKey, { crit: { x: true } });
}
