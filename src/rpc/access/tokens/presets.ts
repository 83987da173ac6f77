import type { Kind, TokenSettings } from "./token-settings.ts";

/** The audiences of this service, where the provider lets its operator name them. */
const own: Readonly<Record<string, Kind>> = { mfa: "user", "mfa-admin": "admin", "mfa-internal": "service" };

/** The words by which a provider says that a second factor was proved, where it has no level of its own. */
const byAmr = { acr: ["aal2"], amr: ["mfa"] };

/**
 * How the access tokens of known identity providers differ from RFC 9068, as these are installed. Nothing in a preset
 * admits anybody by itself: tenant and keys are the operator's to say, and so is the audience where a preset has none.
 * Each has its half page in docs/integrate/identity-providers.
 */
export const presets = {
  keycloak: {
    algorithms: ["RS256", "PS256", "ES256", "EdDSA"],
    typ: ["JWT", "at+jwt"],
    audience: own,
    require: { typ: ["Bearer"] },
  },
  auth0: {
    algorithms: ["RS256", "PS256"],
    typ: ["at+jwt", "JWT"],
    audience: own,
    claims: { scopes: ["scope", "permissions"] },
  },
  // The audience is the application's id, a GUID. `oid` names the same person in every application, `sub` does not.
  entra: { algorithms: ["RS256"], typ: "JWT", claims: { subject: "oid", scopes: ["scp", "roles"], aal2: byAmr } },
  okta: {
    algorithms: ["RS256"],
    typ: ["at+jwt", "JWT", "absent"],
    audience: own,
    claims: { scopes: ["scp"], aal2: { acr: ["aal2", "urn:okta:loa:2fa:any"] } },
  },
  // Access tokens have no audience: the app client stands for it. `origin_jti` outlives refreshes.
  cognito: {
    algorithms: ["RS256"],
    typ: "absent",
    audienceClaim: "client_id",
    require: { token_use: ["access"] },
    claims: { session: "origin_jti" },
  },
  // The token that Firebase's SDKs call "ID token" is the only one, for backends; Google's own ID tokens have `azp`.
  "google-identity-platform": {
    algorithms: ["RS256"],
    typ: "JWT",
    idTokenClaims: ["azp"],
    claims: { aal2: { "firebase.sign_in_second_factor": ["phone", "totp"] } },
  },
  zitadel: {
    algorithms: ["RS256", "ES256", "ES384", "ES512", "EdDSA"],
    typ: ["at+jwt", "JWT", "absent"],
    audience: own,
    claims: { aal2: byAmr },
  },
  authentik: { algorithms: ["RS256", "ES256"], typ: "JWT", audience: own, claims: { aal2: byAmr } },
  authelia: {
    algorithms: ["RS256", "PS256", "ES256"],
    typ: ["at+jwt", "JWT"],
    audience: own,
    claims: { scopes: ["scope", "scp"], aal2: byAmr },
  },
  hydra: { algorithms: ["RS256", "ES256"], typ: "JWT", audience: own, claims: { scopes: ["scp", "scope"] } },
  kratos: {
    algorithms: ["ES256", "RS256", "ES384", "ES512", "EdDSA"],
    typ: ["JWT", "absent"],
    audience: own,
    claims: { aal2: { acr: ["aal2"], aal: ["aal2"] } },
  },
  // Its access tokens carry `at_hash` and the client's id as their audience: they are ID tokens, and refused as such.
  dex: { algorithms: ["RS256", "ES256"], typ: ["JWT", "absent"], audience: own },
  logto: { algorithms: ["ES384", "RS256"], typ: ["at+jwt", "JWT"], audience: own },
  supabase: {
    algorithms: ["ES256", "RS256"],
    typ: ["JWT", "absent"],
    audience: { authenticated: "user" },
    require: { role: ["authenticated"] },
    claims: { session: "session_id", scopes: [], aal2: { aal: ["aal2"] } },
  },
  "better-auth": {
    algorithms: ["EdDSA", "Ed25519", "ES256", "RS256", "PS256", "ES512"],
    typ: ["JWT", "absent"],
    audience: own,
  },
  // Its ID tokens have no hash, and `azp`, which its access tokens have not.
  spring: {
    algorithms: ["RS256", "ES256", "PS256"],
    typ: ["at+jwt", "JWT", "absent"],
    idTokenClaims: ["azp"],
    audience: own,
  },
} as const satisfies Record<string, TokenSettings>;

/** A provider that there is a preset for. */
export type Preset = keyof typeof presets;

/** All of them. */
export const PRESETS = Object.keys(presets) as [Preset, ...Preset[]]; // the keys of the table, as it is written

/** The same table, read as settings. */
export const presetOf = (preset: Preset | undefined): TokenSettings | undefined => preset && presets[preset];
