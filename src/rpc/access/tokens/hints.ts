import { TOKEN_ALGORITHMS, type TokenAlgorithm } from "./algorithms.ts";
import { hasWanted } from "./claims.ts";
import type { ParsedToken } from "./parsed-token.ts";
import { excerpt } from "./rejected.ts";

type Claims = ParsedToken["claims"];

/** Texts in quotation marks, as a settings file has them. */
export const quoted = (texts: Iterable<string>) => [...texts].map((text) => `"${text}"`).join(", ");

const SEND_ACCESS_TOKEN = "the client has to send the access token";

/** By claim, the words by which providers mark tokens that are for themselves. */
const REFRESH: readonly { readonly path: readonly string[]; readonly values: ReadonlySet<string> }[] = [
  { path: ["typ"], values: new Set(["Refresh", "Offline"]) },
  { path: ["token_use"], values: new Set(["refresh"]) },
];

/** What to do about a refresh token; undefined for any other. */
export const ofRefreshToken = (claims: Claims): string | undefined =>
  REFRESH.some((marked) => hasWanted(claims, marked))
    ? `none: this is a refresh token, for its issuer alone; ${SEND_ACCESS_TOKEN}`
    : undefined;

/** What to do about an ID token. */
export const OF_ID_TOKEN = `none: an ID token is never an access token; ${SEND_ACCESS_TOKEN}`;

/** What to do about a claim that makes a token an ID token: some issuers put the nonce into access tokens as well. */
export const ofIdTokenClaim = (claim: string): string =>
  claim === "nonce"
    ? `${OF_ID_TOKEN}. Where it did, the issuer repeats the nonce: Keycloak before version 25 has to be updated, others take PKCE in place of a nonce`
    : OF_ID_TOKEN;

/** What to do about an algorithm that is not allowed. */
export function ofAlgorithm(alg: unknown, allowed: readonly TokenAlgorithm[]): string {
  if (/^(HS|none)/i.test(String(alg))) {
    return "none: HMAC and unsigned tokens are never taken; the issuer has to sign with a key pair";
  }
  const known = TOKEN_ALGORITHMS.find((one) => one === alg);
  return known === undefined
    ? `none: the issuer has to sign with one of ${TOKEN_ALGORITHMS.join(", ")}`
    : `"algorithms": [${quoted([...allowed, known])}]`;
}

/** How old a token may be for the clocks to be the cause of its having expired. */
const CLOCKS_MAY_DIFFER_S = 3600;

/** What to do about a token that has expired by the clock of this machine. */
export const ofExpiry = (pastS: number, now: Date): string =>
  pastS > CLOCKS_MAY_DIFFER_S
    ? "none: the client has to get a new token"
    : `none: the client has to get a new token; if it has just got this one, is this machine's clock right? It says ${now.toISOString()}`;

/** The claims by which providers name the user, or the client of a token without one. */
const SUBJECTS = ["sub", "oid", "uid", "user_id", "username", "client_id", "azp", "cid", "appid"];

/** What to do about a token without a subject: where it may be instead. */
export function ofSubject(claims: Claims): string {
  const found = SUBJECTS.filter((name) => typeof claims[name] === "string" && Object.hasOwn(claims, name));
  const instead = found.map((name) => `"claims": {"subject": "${name}"}`).join(" or ");
  return `have the issuer put it in (Keycloak: the client scope basic)${instead && `; or take ${instead}, if that never changes`}`;
}

/**
 * What to do about an audience that stands for nothing. The provider comes first: an audience that all clients of a realm
 * share would open the service to each of them.
 */
export const ofAudience = (known: Iterable<string>, other: string): string =>
  `none: have the provider name ${quoted(known)}; only for an audience of this service alone: ` +
  `"audience": {${quoted([other])}: "user"}, or "admin" or "service", by whom its tokens are of`;

/** What to do about an issuer that is unknown: anybody may have written the token. */
export const ofIssuer = (iss: unknown): string => `if it is yours, "issuers": [{"issuer": "${excerpt(iss)}", …}]`;
