import { createHash } from "node:crypto";
import { compactVerify, errors } from "jose";
import type { Caller } from "../../core/caller.ts";
import { SKEW_MS } from "./authorization.ts";
import { callerOf } from "./tokens/caller-of.ts";
import { claimChecks, firstFailure, headerChecks } from "./tokens/checks.ts";
import { ofIssuer } from "./tokens/hints.ts";
import { type Issuer, type RuledIssuer, ruled } from "./tokens/issuer.ts";
import { NoMatchingKey } from "./tokens/key-set.ts";
import { type ParsedToken, parseToken } from "./tokens/parsed-token.ts";
import { CredentialRejected, excerpt, type Failure } from "./tokens/rejected.ts";

const MAX_CACHED = 10_000;
/** A key that its issuer withdrew is not trusted longer than this, as keys are fetched anew by then. */
const MAX_CACHED_MS = 10 * 60 * 1000;

/** The credentials of an `authorization` header; the scheme in any case (RFC 9110 §11.1). */
const BEARER = /^bearer +(\S+)$/i;

/** Schemes that callers use by mistake. */
const OTHER_SCHEME = /^(Basic|Digest|DPoP|Negotiate|Token|ApiKey) /i;

/** Turns an `authorization` header into a caller, or throws INVALID_CREDENTIAL, always alike. */
export type Authenticate = (authorization: string | null, now: Date) => Promise<Caller>;

/** The configured issuer that a token names. */
export function issuerOf(
  { claims }: ParsedToken,
  issuers: ReadonlyMap<string, RuledIssuer>,
): RuledIssuer | (Failure & { readonly check: "issuer" }) {
  const iss = Object.hasOwn(claims, "iss") ? claims.iss : undefined;
  const known = typeof iss === "string" ? issuers.get(iss) : undefined;
  if (known) return known;
  const trimmed = String(iss).replace(/\/$/, "");
  const near = [...issuers.keys()].find((name) => name.replace(/\/$/, "") === trimmed);
  const hint = near === undefined ? "" : `; ${near} is known, and every character counts`;
  return {
    check: "issuer",
    text: iss === undefined ? "issuer unknown: the token has no iss" : `issuer unknown: ${excerpt(iss)}${hint}`,
    setting: ofIssuer(iss),
  };
}

/** Verifies the signature of a token by the keys of its issuer; answers what is wrong. Fails with IssuerUnavailable. */
export async function signatureFailure(token: string, { keys, rules }: RuledIssuer): Promise<Failure | undefined> {
  try {
    await compactVerify(token, keys, { algorithms: [...rules.algorithms] });
    return undefined;
  } catch (error) {
    if (error instanceof NoMatchingKey) return { check: "key", text: error.message };
    if (error instanceof errors.JWKSNoMatchingKey) return { check: "key", text: "no key of the key set fits" };
    if (error instanceof errors.JWKSMultipleMatchingKeys)
      return { check: "key", text: "no kid in the token, and several keys of the key set fit" };
    if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof SyntaxError)
      return { check: "signature", text: "the signature is not by the issuer's key" };
    // What WebCrypto says of a key that is none, like a point that is not on its curve.
    if (error instanceof DOMException) return { check: "key", text: "the issuer's key cannot be used" };
    throw error;
  }
}

/** The token of an `authorization` header, or what is there instead. */
function tokenOf(authorization: string | null): string | Failure {
  const token = BEARER.exec(authorization ?? "")?.[1];
  if (token !== undefined) return token;
  // Of any other header nothing is repeated: it may be a secret that was put there without its scheme.
  const scheme = OTHER_SCHEME.exec(authorization ?? "")?.[1];
  const is = scheme === undefined ? "without a scheme that is known" : `of the scheme ${scheme}`;
  const text = authorization === null ? "no authorization header" : `an authorization header ${is}, expected Bearer`;
  return { check: "header", text };
}

/**
 * Verifies access tokens of the given issuers, RFC 9068 unless an issuer's rules say otherwise: algorithms pinned, `iss`,
 * `aud` and `typ` exact (RFC 8725 §3.1, §3.8–3.11), key references inside the token ignored. A verified token is
 * remembered by its hash until it expires, because verifying a signature costs more than most calls. What is not accepted
 * is thrown as CredentialRejected, which says why.
 */
export function createTokenAuthentication(issuers: readonly Issuer[], maxCached = MAX_CACHED): Authenticate {
  const known = new Map(issuers.map((issuer) => [issuer.issuer, ruled(issuer)]));
  const verified = new Map<string, { readonly caller: Caller; readonly sinceMs: number; readonly expiresMs: number }>();

  const verify = async (token: string, now: Date) => {
    const parsed = parseToken(token);
    if ("check" in parsed) throw new CredentialRejected(parsed);
    const issuer = issuerOf(parsed, known);
    if ("check" in issuer) throw new CredentialRejected(issuer);
    const checked = { ...parsed, issuer, now };
    const failure =
      firstFailure(headerChecks, checked) ??
      (await signatureFailure(token, issuer)) ??
      firstFailure(claimChecks, checked);
    if (failure) throw new CredentialRejected(failure, issuer.issuer);
    const sinceMs = now.getTime();
    const { caller, expiresMs } = callerOf(checked);
    return { caller, sinceMs, expiresMs: Math.min(expiresMs + SKEW_MS, sinceMs + MAX_CACHED_MS) };
  };

  return async (authorization, now) => {
    const token = tokenOf(authorization);
    if (typeof token !== "string") throw new CredentialRejected(token);
    const hash = createHash("sha256").update(token).digest("base64");
    const hit = verified.get(hash);
    // A clock that was set back makes nothing last longer.
    if (hit && hit.sinceMs <= now.getTime() && hit.expiresMs > now.getTime()) return hit.caller;
    verified.delete(hash);

    const fresh = await verify(token, now);
    const oldest = verified.size >= maxCached ? verified.keys().next().value : undefined;
    if (oldest !== undefined) verified.delete(oldest);
    verified.set(hash, fresh);
    return fresh.caller;
  };
}
