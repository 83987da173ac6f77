// The key set of the service, fetched and kept by a backend. Part of the verifier: needs Node and nothing else.
import type { JsonWebKey } from "node:crypto";
import { AssertionUndecided } from "./verification-errors.ts";

const CACHED_MS = 10 * 60_000;
const STALE_MS = 60 * 60_000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;
/** How many fetches ids that are in no set may cause at once, and how long one of them takes to come back. */
const UNKNOWN_FETCHES = 3;
const UNKNOWN_REFILL_MS = 10_000;
/** An id that a set did not have is not looked for again so soon; and how many are remembered. */
const MISSING_MS = 30_000;
const MAX_MISSING = 1000;
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 256 * 1024;

type KeySet = ReadonlyMap<string, JsonWebKey>;

/** The monotonic clock: nobody sets it. */
const STEADY = () => new Date(performance.timeOrigin + performance.now());

/** The time that has passed, in milliseconds. How much passed is not known of a clock that was set back: enough to ask. */
function passed(clock: () => Date): () => number {
  let last = clock().getTime();
  let total = 0;
  return () => {
    const now = clock().getTime();
    total += now >= last ? now - last : CACHED_MS + 1;
    last = now;
    return total;
  };
}

/** The keys of a set by their ids; fails where there are none. A member that is no key with an id is left out. */
function keysIn(text: string): KeySet {
  const set: unknown = JSON.parse(text);
  const members = typeof set === "object" && set !== null && "keys" in set && Array.isArray(set.keys) ? set.keys : [];
  const named = members.filter((key) => typeof key?.kid === "string" && typeof key.kty === "string");
  if (named.length === 0) throw new Error("no key set");
  return new Map(named.map((key) => [key.kid, key as JsonWebKey]));
}

async function load(url: string, fetchKeys: typeof fetch): Promise<KeySet> {
  const response = await fetchKeys(url, { redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}`);
  }
  let text = "";
  const decoder = new TextDecoder();
  // An answer may have no end: what is read of it is bounded, and leaving the loop drops the rest.
  for await (const part of response.body ?? []) {
    text += decoder.decode(part, { stream: true });
    if (text.length > MAX_BYTES) throw new Error("more than 256 KiB");
  }
  return keysIn(text);
}

/** A budget of fetches for ids that are in no set: made-up ids must not make us ask each time. */
function unknownBudget() {
  let spent = 0;
  let since = 0;
  return {
    /** Takes one fetch; or returns how long, in milliseconds, until there is one. */
    take(now: number): number {
      spent = Math.max(0, spent - (now - since) / UNKNOWN_REFILL_MS);
      since = now;
      const waitMs = (spent + 1 - UNKNOWN_FETCHES) * UNKNOWN_REFILL_MS;
      if (waitMs > 0) return waitMs;
      spent++;
      return 0;
    },
  };
}

/**
 * The keys behind the service's `/.well-known/jwks.json`: kept for ten minutes, and for an hour while they cannot be
 * fetched. All who ask at the same time share one fetch. After a failure the next fetch waits a second, doubled with
 * each failure up to 15. An id that is in no set causes a fetch, three at once and one each ten seconds, so that a new
 * key is found at once. Returns undefined for an id that a fetch from after the question did not bring; throws
 * AssertionUndecided where that is not known.
 */
export function remoteKeys(url: string, fetchKeys: typeof fetch = fetch, clock = STEADY) {
  const time = passed(clock);
  const budget = unknownBudget();
  const missing = new Map<string, number>();
  let keys: KeySet = new Map();
  let loadedAt = Number.NEGATIVE_INFINITY;
  /** How many fetches were begun, and which of them brought the keys. */
  let begun = 0;
  let loadedBy = 0;
  let failures = 0;
  let nextTryAt = 0;
  let failure: unknown;
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    const [fetched, startedAt] = [++begun, time()];
    try {
      keys = await load(url, fetchKeys);
      [loadedBy, loadedAt, failures, failure] = [fetched, startedAt, 0, undefined];
      missing.clear();
    } catch (error) {
      failure = error;
      nextTryAt = time() + Math.min(FIRST_PAUSE_MS * 2 ** failures++, LONGEST_PAUSE_MS);
    }
  }

  /** The running fetch, or a new one: it never fails, what it found is in the variables. */
  function refresh(): Promise<void> {
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  }

  const age = () => time() - loadedAt;
  const mayTry = () => running !== undefined || time() >= nextTryAt;
  const undecided = (reason: string, waitMs = nextTryAt - time()) =>
    new AssertionUndecided(reason, { cause: failure, retryAfterMs: Math.max(waitMs, FIRST_PAUSE_MS) });

  /** Fetches for an id that the keys do not have, unless a fetch that began after `before` has brought them. */
  async function search(before: number): Promise<void> {
    await running;
    if (loadedBy > before) return;
    if (!mayTry()) throw undecided("an unknown key, and the key set is not to be had");
    const waitMs = running === undefined ? budget.take(time()) : 0;
    if (waitMs > 0) throw undecided("an unknown key, and too many were looked for", waitMs);
    await refresh();
    if (loadedBy <= before) throw undecided("an unknown key, and the key set is not to be had");
  }

  return async (keyId: string): Promise<JsonWebKey | undefined> => {
    const before = begun;
    if (age() > CACHED_MS && mayTry()) await refresh();
    if (age() > STALE_MS) throw undecided("the key set is not to be had");
    const missed = missing.get(keyId);
    if (!keys.has(keyId) && (missed === undefined || time() - missed > MISSING_MS)) {
      await search(before);
      if (!keys.has(keyId) && missing.size < MAX_MISSING) missing.set(keyId, time());
    }
    return keys.get(keyId);
  };
}
