// The verifier of assertions for backends: needs Node and nothing else. Copy the folder, or write the same for another
// language and run test/vectors/assertions.json against it.
import { createHash, createPublicKey, type JsonWebKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { type ActionContent, actionDigest } from "./action-digest.ts";
import { AssertionRejected, AssertionUndecided, ExpectationInvalid, VerificationError } from "./verification-errors.ts";

export { type ActionContent, actionDigest, canonicalAction } from "./action-digest.ts";
export { remoteKeys } from "./remote-keys.ts";
export { AssertionRejected, AssertionUndecided, ExpectationInvalid, VerificationError } from "./verification-errors.ts";

/** What a proof is for: to complete a log-in, or to confirm something within a session. */
export type AssertionPurpose = "log_in" | "step_up";

/** What an assertion states. */
export interface AssertionPayload {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly tid: string;
  /** SHA-256 of the session's id, base64url. */
  readonly sid?: string;
  readonly acr: "aal1" | "aal2";
  readonly amr: readonly string[];
  /** What the proof was for; it is good for nothing else. */
  readonly pur: AssertionPurpose;
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
  /** What the proof must have been for; absent takes either, so say it wherever a log-in and a step-up differ. */
  readonly purpose?: AssertionPurpose;
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
  /**
   * Notes an id until it expires, and returns true; false when it was noted before. One statement in a store that all
   * instances share.
   */
  readonly once: (assertionId: string, expireTime: Date) => Promise<boolean>;
  readonly clock?: () => Date;
}

const SKEW_S = 30;
const LIFETIME_S = 120;
const ACTION_LIFETIME_S = 60;
const MAX_LENGTH = 4096;
const LEVELS: readonly unknown[] = ["aal1", "aal2"];
const PURPOSES: readonly unknown[] = ["log_in", "step_up"];
const BINDINGS: readonly unknown[] = [undefined, "authenticator"];

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

function publicKeyOf(jwk: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch (cause) {
    throw new AssertionRejected("the key is malformed", { cause });
  }
}

/** Waits for what the backend provides; nothing is decided while that fails. */
async function provided<T>(name: string, promise: () => Promise<T>): Promise<T> {
  try {
    return await promise();
  } catch (cause) {
    if (cause instanceof VerificationError) throw cause;
    throw new AssertionUndecided(`${name} failed`, { cause });
  }
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
  must(typeof token === "string", "no text");
  must(token.length <= MAX_LENGTH, "too long");
  const [head = "", body = "", tail = "", ...more] = token.split(".");
  must(more.length === 0 && [head, body, tail].every((text) => /^[\w-]+$/.test(text)), "not three parts of base64url");
  const header = part(head, "header");
  must(header.typ === "mfa-assertion+jwt", "another type of token");
  // Nothing in the token says where its key is, and nothing that this verifier does not know is critical.
  must(Object.keys(header).sort().join() === "alg,kid,typ", "a header that is not ours");
  must(isText(header.kid), "no key id");
  const { kid } = header;
  const jwk = await provided("the key set", () => key(kid));
  must(typeof jwk === "object" && jwk !== null, "an unknown key");
  const algorithm = algorithmOf(jwk);
  must(algorithm !== undefined && header.alg === algorithm, "another algorithm than the key's");
  const signature = Buffer.from(tail, "base64url");
  must(signature.toString("base64url") === tail, "a signature in another encoding");
  must(
    isSigned(algorithm, publicKeyOf(jwk), Buffer.from(`${head}.${body}`), signature),
    "the signature does not verify",
  );
  return part(body, "body");
}

function checkTimes(claims: Json, { maxAgeSeconds }: Expectation, now: number): void {
  const { iat, nbf, exp, auth_time: authTime } = claims;
  must(isSecond(iat) && isSecond(nbf) && isSecond(exp) && isSecond(authTime), "a time is missing");
  must(exp > iat && exp > nbf, "it ends before it begins");
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
  must(LEVELS.includes(claims.acr), "of no level");
  must(LEVELS.indexOf(claims.acr) >= LEVELS.indexOf(expected.acr ?? "aal2"), "of a lower level");
  must(Array.isArray(claims.amr) && claims.amr.length > 0 && claims.amr.every(isText), "of no method");
  must(PURPOSES.includes(claims.pur), "for no purpose");
  must(expected.purpose === undefined || claims.pur === expected.purpose, "for another purpose");
  must(Number.isSafeInteger(claims.pol), "of no policy");
  must(claims.cid === undefined || isText(claims.cid), "of an odd challenge");
  checkAction(claims, expected);
  checkTimes(claims, expected, now);
}

const isAction = (action: Partial<ActionContent> | null) =>
  isText(action?.type) &&
  typeof action?.parameters === "object" &&
  action.parameters !== null &&
  Object.values(action.parameters).every((value) => typeof value === "string");

/** JavaScript checks no types: what would compare as nothing is refused before anything is compared. */
function checkExpectation(expected: Expectation): void {
  const { tenantId, userId, sessionId, nonce, action, acr, purpose, binding, maxAgeSeconds } = expected;
  const ask = (isGood: boolean, name: string) => {
    if (!isGood) throw new ExpectationInvalid(`the expectation's ${name} is none that an assertion can meet`);
  };
  ask(isText(tenantId), "tenantId");
  ask(isText(userId), "userId");
  ask(typeof sessionId === "string", "sessionId");
  ask(nonce === undefined || typeof nonce === "string", "nonce");
  ask(acr === undefined || LEVELS.includes(acr), "acr");
  ask(purpose === undefined || PURPOSES.includes(purpose), "purpose");
  ask(BINDINGS.includes(binding), "binding");
  ask(action === undefined || isAction(action), "action");
  ask(maxAgeSeconds === undefined || (Number.isFinite(maxAgeSeconds) && maxAgeSeconds >= 0), "maxAgeSeconds");
}

/**
 * Makes the function that verifies assertions against the request they came with. It throws AssertionRejected for
 * everything that does not hold exactly; a claim that is missing does not. A second use of one that holds is refused.
 * It throws AssertionUndecided where `key` or `once` failed: the same assertion may be verified again. Both say so by
 * their `retry`; nothing else is thrown.
 */
export function createAssertionVerifier(options: VerifierOptions) {
  const { issuer, audience, once, clock = () => new Date() } = options;
  if (!isText(issuer) || !isText(audience)) throw new ExpectationInvalid("a verifier needs an issuer and an audience");
  return async (token: string, expected: Expectation): Promise<AssertionPayload> => {
    checkExpectation(expected);
    const claims = await open(token, options);
    checkClaims(claims, options, expected, Math.floor(clock().getTime() / 1000));
    const stated = claims as unknown as AssertionPayload; // claim by claim what was checked
    const until = new Date((stated.exp + SKEW_S) * 1000);
    const isFirst = await provided("the store of used ids", () => once(stated.jti, until));
    // Not only truthy: an empty list of rows is.
    must(isFirst === true, "used before");
    return stated;
  };
}
