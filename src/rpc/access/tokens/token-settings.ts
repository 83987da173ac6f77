import type { TokenAlgorithm } from "./algorithms.ts";

/** What `typ` of a token's header may be: "absent" for none at all. */
export const TOKEN_TYPES = ["at+jwt", "JWT", "absent"] as const;
/** The type of a token by its header. */
export type TokenType = (typeof TOKEN_TYPES)[number];

/** The kinds of principals of tokens. */
export const KINDS = ["user", "admin", "service"] as const;
/** The kind of principal that a token is of. */
export type Kind = (typeof KINDS)[number];

/** How `auth_time` is written: seconds as a number (OpenID Connect), seconds or a time as text, or milliseconds. */
export const TIME_FORMS = ["number", "text", "milliseconds"] as const;
/** A form of `auth_time`. */
export type TimeForm = (typeof TIME_FORMS)[number];

/**
 * Where a claim stands: its name, or names from the outside in, with dots between ("realm_access.roles") or as a list.
 * A name that begins with "https://" or "http://" is one name with all its dots.
 */
export type ClaimPath = string | readonly string[];

/** The claims of an issuer's tokens. Unset ones are those of RFC 9068. */
export interface ClaimSettings {
  /** Default `tid` for tokens of type at+jwt only; where `typ` is relaxed or a preset given, none. */
  readonly tenant?: ClaimPath | undefined;
  /** Default `sub`. */
  readonly subject?: ClaimPath | undefined;
  /** Default `sid`. */
  readonly session?: ClaimPath | undefined;
  /** Claims that name scopes, as text with spaces between or as a list. Default `scope` alone. */
  readonly scopes?: readonly ClaimPath[] | undefined;
  /** The prefix of scopes; with one, only scopes that have it count. */
  readonly scopePrefix?: string | undefined;
  /** By claim, the role or group and the scopes that it stands for. A role that is not listed stands for none. */
  readonly roles?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> | undefined;
  /** By claim, the values that say that two factors were proved; of a list one of them. Default `acr`: `aal2`. */
  readonly aal2?: Readonly<Record<string, readonly string[]>> | undefined;
  /** When the subject authenticated. Default `auth_time` as a number of seconds. */
  readonly authTime?: { readonly claim?: ClaimPath | undefined; readonly as?: TimeForm | undefined } | undefined;
}

/** How the access tokens of an issuer differ from RFC 9068. Presets are written in the same words. */
export interface TokenSettings {
  readonly algorithms?: readonly TokenAlgorithm[] | undefined;
  readonly typ?: TokenType | readonly TokenType[] | undefined;
  /** What values of the audience claim stand for. Other audiences beside exactly one of these are ignored. */
  readonly audience?: Readonly<Record<string, Kind>> | undefined;
  /** The claim that names the audience, for issuers whose access tokens have no `aud`: "client_id". Default `aud`. */
  readonly audienceClaim?: string | undefined;
  /** The ids of clients: a token for one of them is an ID token. */
  readonly clientIds?: readonly string[] | undefined;
  /** Claims that only ID tokens of this issuer have, besides `nonce`, `at_hash` and `c_hash`. */
  readonly idTokenClaims?: readonly string[] | undefined;
  /** Required values by claim; one of them must be present. */
  readonly require?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly claims?: ClaimSettings | undefined;
  /** The longest life of a token, in seconds. Default a day. */
  readonly maxLifetime?: number | undefined;
}
