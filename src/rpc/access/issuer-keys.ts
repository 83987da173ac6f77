import { readFile } from "node:fs/promises";
import { errors, type JWTVerifyGetKey } from "jose";
import { growingPauseMs } from "../../core/growing-pause.ts";
import { DEFAULT_ALGORITHMS, type TokenAlgorithm } from "./tokens/algorithms.ts";
import { discoverKeys } from "./tokens/discovery.ts";
import { readKeySet, type VerificationKeys } from "./tokens/key-set.ts";

/** An issuer's keys could not be fetched; the token was not judged. The message names the issuer and the cause. */
export class IssuerUnavailable extends Error {
  override readonly name = "IssuerUnavailable";
}

/** The timing of key fetches. */
export interface KeyFetching {
  /**
   * The cool-down between fetches for unknown key ids, after the first three; also the longest pause after failures,
   * which starts at a second.
   */
  readonly cooldownMs: number;
  /** How long fetched keys are valid. After half of it they are fetched again. */
  readonly maxAgeMs: number;
  readonly timeoutMs: number;
}

const DEFAULTS: KeyFetching = { cooldownMs: 30_000, maxAgeMs: 600_000, timeoutMs: 5_000 };
/** Fetches that unknown key ids may cause at once. */
const UNKNOWN_FETCHES = 3;
const MAX_BYTES = 256 * 1024;

/** Names the file in the errors of reading it. */
function naming<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** The keys of a JWKS file; throws, naming the file, when it holds none that can verify anything. */
export async function keysOfFile(path: string, algorithms = DEFAULT_ALGORITHMS): Promise<JWTVerifyGetKey> {
  const text = await readFile(path, "utf8");
  const { keys, unusable } = naming(path, () => readKeySet(JSON.parse(text), algorithms));
  if (unusable !== undefined) throw new Error(`${path} ${unusable}`);
  return keys;
}

/** Where an issuer's keys are: at a url, or where the issuer's metadata say. */
export type KeysAt = { readonly url: string } | { readonly discoverFrom: string };

/** The text of an answer; throws as soon as it is longer than any key set, and reads no more of it. */
async function textOf(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > MAX_BYTES) throw new Error("more than 256 KiB");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

async function fetchJson(url: string, signal: AbortSignal): Promise<unknown> {
  const accept = "application/json, application/jwk-set+json";
  const response = await fetch(url, { redirect: "manual", signal, headers: { accept } });
  const body = await textOf(response);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return JSON.parse(body);
}

async function fetchKeys(
  at: KeysAt,
  algorithms: readonly TokenAlgorithm[],
  timeoutMs: number,
): Promise<VerificationKeys> {
  const signal = AbortSignal.timeout(timeoutMs);
  const fetched = (url: string) => fetchJson(url, signal);
  const url = "url" in at ? at.url : await discoverKeys(at.discoverFrom, fetched);
  return readKeySet(await fetched(url), algorithms);
}

/** Why a fetch failed, in a few words. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "no answer";
  const { cause } = error;
  // What `fetch` throws says only that it failed; its cause says why.
  return cause instanceof Error ? cause.message || String((cause as { code?: unknown }).code) : error.message;
}

/** The keys of an issuer that are fetched. */
export interface FetchedKeys extends JWTVerifyGetKey {
  /**
   * Fetches the keys without a token that needs them. Answers why none of them can verify anything, or undefined; fails
   * with IssuerUnavailable.
   */
  preload(): Promise<string | undefined>;
}

/**
 * The keys behind a JWKS url (RFC 7517 §5), fetched when needed, one fetch for all who ask at the same time. Keys are
 * used until `maxAgeMs`; after that, without an answer, tokens are refused as IssuerUnavailable, never accepted. An
 * unknown kid causes a fetch, so that a key is good from its first token on; made-up kids cause three at once and one per
 * cool-down. By the monotonic clock: one that is set neither stops fetches nor lengthens trust.
 */
export function issuerKeys(
  at: KeysAt,
  algorithms = DEFAULT_ALGORITHMS,
  { cooldownMs, maxAgeMs, timeoutMs } = DEFAULTS,
  time = () => performance.now(),
): FetchedKeys {
  const name = "url" in at ? at.url : at.discoverFrom;
  let set: VerificationKeys | undefined;
  /** Why the last fetch failed. */
  let reason = "";
  let loadedAt = Number.NEGATIVE_INFINITY;
  let nextTryAt = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let unknown = { spent: 0, at: time() };
  let running: Promise<void> | undefined;
  /** How many fetches were begun, and which of them brought the keys. */
  let begun = 0;
  let loadedBy = 0;

  async function load(): Promise<void> {
    const [fetched, startedAt] = [++begun, time()];
    try {
      set = await fetchKeys(at, algorithms, timeoutMs);
      [loadedBy, loadedAt, failures] = [fetched, startedAt, 0];
    } catch (cause) {
      nextTryAt = time() + growingPauseMs(++failures, cooldownMs);
      reason = reasonOf(cause);
      throw new IssuerUnavailable(`${name}: ${reason}`, { cause });
    }
  }

  function refresh(): Promise<void> {
    if (!running && time() < nextTryAt) throw new IssuerUnavailable(`${name}: ${reason}, a moment ago`);
    running ??= load().finally(() => {
      running = undefined;
    });
    return running;
  }

  /** Takes one fetch from the budget of kids that are in no set; false when it is used up. */
  function takeUnknown(): boolean {
    const now = time();
    const back = cooldownMs > 0 ? (now - unknown.at) / cooldownMs : UNKNOWN_FETCHES;
    const spent = Math.max(0, unknown.spent - back);
    const isLeft = spent + 1 <= UNKNOWN_FETCHES;
    unknown = { spent: isLeft ? spent + 1 : spent, at: now };
    return isLeft;
  }

  const age = () => time() - loadedAt;

  const find: JWTVerifyGetKey = async (header, token) => {
    const before = begun;
    if (age() >= maxAgeMs) await refresh();
    // Early, and nobody waits for it: an issuer that is away for a moment costs no log-in.
    else if (age() >= maxAgeMs / 2 && time() >= nextTryAt) void refresh().catch(() => undefined);
    const look = () => {
      if (!set) throw new IssuerUnavailable(`${name} gave no keys yet`);
      return set.keys(header, token);
    };
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await running?.catch(() => undefined);
      if (loadedBy <= before) {
        if (running === undefined && !takeUnknown()) throw error;
        await refresh();
      }
      return look();
    }
  };
  const preload = async () => {
    await refresh();
    return set?.unusable === undefined ? undefined : `${name} ${set.unusable}`;
  };
  return Object.assign(find, { preload });
}
