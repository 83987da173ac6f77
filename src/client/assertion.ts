// The verifier of assertions for backends: needs Node and nothing else. Copy the folder, or write the same for another
// language and run test/vectors/assertions.json against it.
import { createHash, createPublicKey, type JsonWebKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { type ActionContent, actionDigest } from "./action-digest.ts";

export { type ActionContent, actionDigest, canonicalAction } from "./action-digest.ts";

/** What an assertion states. */
export interface Claims {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly tid: string;
  /** SHA-256 of the session's id, base64url. */
  readonly sid?: string;
  readonly acr: "aal1" | "aal2";
  readonly amr: readonly string[];
  readonly auth_time: number;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  readonly nonce?: string;
  readonly act?: { readonly type: string; readonly digest: string };
  /** Where the action was bound. */
  readonly bnd?: "authenticator" | "server";
  /** The version of the risk policy that the challenge's terms came from; 0 where they came from none. */
  readonly pol: number;
  readonly cid?: string;
}

/** What the request at hand says: the assertion must be for exactly this. */
export interface Expectation {
  readonly tenantId: string;
  readonly userId: string;
  /** The session's id; empty where the request has none. */
  readonly sessionId: string;
  /** The nonce that this backend chose; empty where it chose none. */
  readonly nonce?: string;
  /** The action that will be run, as it will be run. */
  readonly action?: ActionContent;
  /** Default aal2. */
  readonly acr?: "aal1" | "aal2";
  /** "authenticator": the action's digest must be inside of what the authenticator signed. */
  readonly binding?: "authenticator";
  readonly maxAgeSeconds?: number;
}

/** Which assertions are taken at all. */
export interface VerifierOptions {
  readonly issuer: string;
  /** The name of this backend. */
  readonly audience: string;
  /** The public key of an id, from the configured key set and nowhere else; undefined when there is none. */
  readonly key: (keyId: string) => Promise<JsonWebKey | undefined>;
  /** Notes an id until it expires; false when it was noted before. One statement in a store that all instances share. */
  readonly once: (assertionId: string, expireTime: Date) => Promise<boolean>;
  readonly clock?: () => Date;
}

/** The assertion does not hold. The reason is for the log; whoever sent it learns none. */
export class AssertionRejected extends Error {
  override readonly name = "AssertionRejected";
}

const SKEW_S = 30;
const LIFETIME_S = 120;
const ACTION_LIFETIME_S = 60;
const MAX_LENGTH = 4096;
const LEVELS = ["aal1", "aal2"];

type Json = Record<string, unknown>;

function must(holds: boolean, reason: string): asserts holds {
  if (!holds) throw new AssertionRejected(reason);
}

function part(text: string, name: string): Json {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  } catch {
    // No JSON: refused like everything else that is none.
  }
  throw new AssertionRejected(`the ${name} is no JSON object`);
}

const sha256 = (text: string) => createHash("sha256").update(text, "utf8").digest("base64url");
const isSecond = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

/** What the key is for decides the algorithm, never the token. */
function algorithmOf({ kty, crv, use, alg, d }: JsonWebKey & { use?: string; alg?: string }): string | undefined {
  const algorithm =
    kty === "OKP" && crv === "Ed25519" ? "EdDSA" : kty === "EC" && crv === "P-256" ? "ES256" : undefined;
  const isFor = (use === undefined || use === "sig") && (alg === undefined || alg === algorithm);
  return d === undefined && isFor ? algorithm : undefined;
}

const isSigned = (algorithm: string, key: KeyObject, data: Buffer, signature: Buffer) =>
  algorithm === "EdDSA"
    ? verify(null, data, key, signature)
    : verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, signature);

async function open(token: string, { key }: VerifierOptions): Promise<Json> {
  must(token.length <= MAX_LENGTH, "too long");
  const [head = "", body = "", tail = "", ...more] = token.split(".");
  must(more.length === 0 && [head, body, tail].every((text) => /^[\w-]+$/.test(text)), "not three parts of base64url");
  const header = part(head, "header");
  must(header.typ === "mfa-assertion+jwt", "another type of token");
  // Nothing in the token says where its key is, and nothing that this verifier does not know is critical.
  must(Object.keys(header).sort().join() === "alg,kid,typ", "a header that is not ours");
  must(isText(header.kid), "no key id");
  const jwk = await key(header.kid);
  must(jwk !== undefined, "an unknown key");
  const algorithm = algorithmOf(jwk);
  must(algorithm !== undefined && header.alg === algorithm, "another algorithm than the key's");
  const signature = Buffer.from(tail, "base64url");
  must(signature.toString("base64url") === tail, "a signature in another encoding");
  const publicKey = createPublicKey({ key: jwk, format: "jwk" });
  must(isSigned(algorithm, publicKey, Buffer.from(`${head}.${body}`), signature), "the signature does not verify");
  return part(body, "body");
}

function checkTimes(claims: Json, { maxAgeSeconds }: Expectation, now: number): void {
  const { iat, nbf, exp, auth_time: authTime } = claims;
  must(isSecond(iat) && isSecond(nbf) && isSecond(exp) && isSecond(authTime), "a time is missing");
  must(exp > now - SKEW_S, "expired");
  must(nbf <= now + SKEW_S && iat <= now + SKEW_S && authTime <= iat + SKEW_S, "from the future");
  must(exp - iat <= (claims.act === undefined ? LIFETIME_S : ACTION_LIFETIME_S), "it lives too long");
  must(maxAgeSeconds === undefined || authTime >= now - maxAgeSeconds, "proved too long ago");
}

function checkAction({ act, bnd }: Json, { action, binding }: Expectation): void {
  if (!action) {
    must(act === undefined && bnd === undefined && !binding, "for an action, not for none");
    return;
  }
  must(typeof act === "object" && act !== null, "for no action");
  const { type, digest } = act as Json;
  must(type === action.type && isText(digest), "for another type of action");
  const [given, own] = [Buffer.from(digest, "base64url"), actionDigest(action)];
  must(given.length === own.length && timingSafeEqual(given, own), "for another action");
  must(bnd === "authenticator" || (bnd === "server" && binding === undefined), "not bound by the authenticator");
}

function checkClaims(claims: Json, { issuer, audience }: VerifierOptions, expected: Expectation, now: number): void {
  must(claims.iss === issuer, "of another issuer");
  must(claims.aud === audience, "for another audience");
  must(claims.sub === expected.userId && isText(claims.sub), "for another user");
  must(claims.tid === expected.tenantId && isText(claims.tid), "for another tenant");
  must(claims.sid === (expected.sessionId === "" ? undefined : sha256(expected.sessionId)), "for another session");
  must(claims.nonce === (expected.nonce || undefined), "for another nonce");
  must(isText(claims.jti) && /^[\w-]{22}$/.test(claims.jti), "no id");
  must(LEVELS.indexOf(String(claims.acr)) >= LEVELS.indexOf(expected.acr ?? "aal2"), "of a lower level");
  must(typeof claims.acr === "string" && LEVELS.includes(claims.acr), "of no level");
  must(Array.isArray(claims.amr) && claims.amr.length > 0 && claims.amr.every(isText), "of no method");
  must(Number.isSafeInteger(claims.pol), "of no policy");
  must(claims.cid === undefined || isText(claims.cid), "of an odd challenge");
  checkAction(claims, expected);
  checkTimes(claims, expected, now);
}

/**
 * Makes the function that verifies assertions against the request they came with. It throws AssertionRejected for
 * everything that does not hold exactly; a claim that is missing does not. A second use of one that holds is refused.
 */
export function createAssertionVerifier(options: VerifierOptions) {
  const { once, clock = () => new Date() } = options;
  return async (token: string, expected: Expectation): Promise<Claims> => {
    const claims = await open(token, options);
    checkClaims(claims, options, expected, Math.floor(clock().getTime() / 1000));
    const stated = claims as unknown as Claims; // claim by claim what was checked
    must(await once(stated.jti, new Date((stated.exp + SKEW_S) * 1000)), "used before");
    return stated;
  };
}

const CACHED_MS = 10 * 60_000;
const STALE_MS = 60 * 60_000;
const PAUSE_MS = 30_000;

/** The keys behind the service's `/.well-known/jwks.json`: kept for ten minutes, for an hour when it is not to be had. */
export function remoteKeys(url: string, fetchKeys: typeof fetch = fetch, clock = () => new Date()) {
  let keys = new Map<string, JsonWebKey>();
  let loadedMs = Number.NEGATIVE_INFINITY;
  let triedMs = Number.NEGATIVE_INFINITY;

  async function load(now: number): Promise<void> {
    triedMs = now;
    const response = await fetchKeys(url, { redirect: "error", signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`the key set answers ${response.status}`);
    const set = (await response.json()) as { keys: (JsonWebKey & { kid: string })[] };
    keys = new Map(set.keys.map((key) => [key.kid, key]));
    loadedMs = now;
  }

  return async (keyId: string): Promise<JsonWebKey | undefined> => {
    const now = clock().getTime();
    const isOld = now - loadedMs > CACHED_MS;
    // A made-up key id must not make us ask each time.
    if ((isOld || !keys.has(keyId)) && now - triedMs > PAUSE_MS) {
      await load(now).catch((error: unknown) => {
        if (now - loadedMs > STALE_MS) throw error;
      });
    }
    if (now - loadedMs > STALE_MS) throw new Error("the key set is not to be had");
    return keys.get(keyId);
  };
}
