import { readFile } from "node:fs/promises";
import { createLocalJWKSet, createRemoteJWKSet, customFetch, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";

/** An issuer's keys could not be had; nothing was decided about the token. */
export class IssuerUnavailable extends Error {
  override readonly name = "IssuerUnavailable";
}

/** How often and how long an issuer's keys are fetched. */
export interface KeyFetching {
  /** The least time between two fetches, after successes and failures alike, whatever kids tokens name. */
  readonly cooldownMs: number;
  /** How long fetched keys are good for without another fetch. */
  readonly maxAgeMs: number;
  readonly timeoutMs: number;
}

const DEFAULTS: KeyFetching = { cooldownMs: 30_000, maxAgeMs: 600_000, timeoutMs: 5_000 };
const MAX_BYTES = 256 * 1024;

const isKeySet = (value: unknown): value is JSONWebKeySet =>
  typeof value === "object" && value !== null && "keys" in value && Array.isArray(value.keys);

/** The keys of a JWKS file; throws, naming the file, when it holds none that can verify anything. */
export async function keysOfFile(path: string): Promise<JWTVerifyGetKey> {
  const jwks = JSON.parse(await readFile(path, "utf8"));
  const usable = isKeySet(jwks) ? jwks.keys.filter(({ kty }) => kty === "OKP" || kty === "EC") : [];
  if (usable.length === 0) throw new Error(`${path} holds no Ed25519 or P-256 key (EdDSA, ES256)`);
  return createLocalJWKSet(jwks);
}

async function fetchKeys(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  const body = await response.text();
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  if (body.length > MAX_BYTES) throw new Error("more than 256 KiB");
  if (!isKeySet(JSON.parse(body))) throw new Error("no JSON Web Key Set");
  return new Response(body);
}

/**
 * The keys behind a JWKS url (RFC 7517 §5), fetched when needed: an unknown kid causes one fetch per cool-down, and so
 * does an issuer that is down. Keys are used until `maxAgeMs`; after that, without an answer, tokens are refused as
 * IssuerUnavailable, never accepted.
 */
export function remoteKeys(url: string, { cooldownMs, maxAgeMs, timeoutMs } = DEFAULTS): JWTVerifyGetKey {
  let failedAt = Number.NEGATIVE_INFINITY;
  const careful = async (address: string, init: RequestInit) => {
    if (performance.now() - failedAt < cooldownMs) throw new IssuerUnavailable(`${url} failed a moment ago`);
    try {
      return await fetchKeys(address, init);
    } catch (cause) {
      failedAt = performance.now();
      throw new IssuerUnavailable(`${url} gave no keys`, { cause });
    }
  };
  return createRemoteJWKSet(new URL(url), {
    cooldownDuration: cooldownMs,
    cacheMaxAge: maxAgeMs,
    timeoutDuration: timeoutMs,
    [customFetch]: careful,
  });
}
