import { createHash } from "node:crypto";
import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import { SKEW_MS } from "./authorisation.ts";

/** An issuer whose tokens are accepted: fixed by configuration, never by the token. */
export interface Issuer {
  readonly issuer: string;
  readonly keys: JWTVerifyGetKey;
  /** The audiences it may issue for; all of ours unless narrowed, so that a log-in server cannot mint backends. */
  readonly audiences?: readonly string[] | undefined;
  /** The tenant of all its tokens, for issuers whose tokens carry no `tid`. */
  readonly tenantId?: string | undefined;
  /** Whether it speaks for the installation: scopes that reach beyond a tenant count in its tokens alone. */
  readonly operator?: boolean | undefined;
}

/** What reaches beyond the tenant of a token: scheduled tasks are every tenant's. */
const isOfInstallation = (scope: string): boolean => scope.startsWith("mfa.schedule.");

/** The audience decides the kind of principal, so a token of one kind is never accepted as another. */
export const audiences: ReadonlyMap<string, Principal> = new Map([
  ["mfa", Principal.USER],
  ["mfa-admin", Principal.ADMIN],
  ["mfa-internal", Principal.SERVICE],
]);

const ALGORITHMS = ["EdDSA", "ES256"];
const MAX_LIFETIME_S = 24 * 60 * 60;
const MAX_SUBJECT_BYTES = 255;
const MAX_CACHED = 10_000;
/** A key that its issuer withdrew is not trusted longer than this, as keys are fetched anew by then. */
const MAX_CACHED_MS = 10 * 60 * 1000;

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** Kept byte by byte, so it must have one form in every encoding: no lone surrogates, and no NUL for PostgreSQL's sake. */
const isName = (name: string): boolean =>
  Buffer.byteLength(name) <= MAX_SUBJECT_BYTES && name.isWellFormed() && !name.includes("\0");

function toCaller(claims: JWTPayload, issuer: Issuer): Caller | undefined {
  const [audience = "", ...others] = [claims.aud].flat();
  if (others.length > 0 || issuer.audiences?.includes(audience) === false) return undefined;
  const principal = audiences.get(audience);
  const tenantId = issuer.tenantId ?? text(claims.tid);
  const subject = text(claims.sub);
  if (principal === undefined || tenantId === undefined || subject === undefined) return undefined;
  if (!isName(subject) || !isName(tenantId)) return undefined;
  const scopes = text(claims.scope)?.split(" ") ?? [];
  return {
    principal,
    tenantId,
    subject,
    acr: claims.acr === "aal2" ? "aal2" : "aal1",
    authTime: typeof claims.auth_time === "number" ? new Date(claims.auth_time * 1000) : undefined,
    issueTime: new Date((claims.iat ?? (claims.exp ?? 0) - MAX_LIFETIME_S) * 1000),
    scopes: new Set(scopes.filter((scope) => issuer.operator || !isOfInstallation(scope))),
    sessionId: text(claims.sid) ?? "",
  };
}

/** Turns an `authorization` header into a caller, or throws INVALID_CREDENTIAL, always alike. */
export type Authenticate = (authorization: string | null, now: Date) => Promise<Caller>;

/**
 * Verifies access tokens (RFC 9068) of the given issuers: algorithms pinned, `iss`, `aud` and `typ` exact (RFC 8725
 * §3.1, §3.8–3.11), key references inside the token ignored. A verified token is remembered by its hash until it
 * expires, because verifying a signature costs more than most calls.
 */
export function createAuthentication(issuers: readonly Issuer[], maxCached = MAX_CACHED): Authenticate {
  const known = new Map(issuers.map((issuer) => [issuer.issuer, issuer]));
  const verified = new Map<string, { readonly caller: Caller; readonly expiresMs: number }>();

  const verify = async (token: string, now: Date) => {
    const issuer = known.get(text(decodeJwt(token).iss) ?? "");
    if (!issuer) return undefined;
    const { payload } = await jwtVerify(token, issuer.keys, {
      algorithms: ALGORITHMS,
      issuer: issuer.issuer,
      typ: "at+jwt",
      clockTolerance: SKEW_MS / 1000,
      currentDate: now,
      requiredClaims: ["sub", "aud", "exp"],
    });
    // A token for years is a mistake of its issuer's, and nothing here could take it back.
    if ((payload.exp ?? 0) - now.getTime() / 1000 > MAX_LIFETIME_S) return undefined;
    const caller = toCaller(payload, issuer);
    return (
      caller && { caller, expiresMs: Math.min((payload.exp ?? 0) * 1000 + SKEW_MS, now.getTime() + MAX_CACHED_MS) }
    );
  };

  return async (authorization, now) => {
    const token = authorization?.startsWith("Bearer ") ? authorization.slice("Bearer ".length) : undefined;
    if (token === undefined) throw new Refusal("INVALID_CREDENTIAL");
    const hash = createHash("sha256").update(token).digest("base64");
    const hit = verified.get(hash);
    if (hit && hit.expiresMs > now.getTime()) return hit.caller;
    verified.delete(hash);

    const fresh = await verify(token, now).catch((error: unknown) => {
      if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof SyntaxError)
        return undefined;
      throw error;
    });
    if (!fresh) throw new Refusal("INVALID_CREDENTIAL");
    const oldest = verified.size >= maxCached ? verified.keys().next().value : undefined;
    if (oldest !== undefined) verified.delete(oldest);
    verified.set(hash, fresh);
    return fresh.caller;
  };
}
