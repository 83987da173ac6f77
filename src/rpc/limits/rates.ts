import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";
import { parseIp, sourceOf } from "../../core/ip-address.ts";
import { Refusal } from "../../core/refusal.ts";
import { Buckets } from "./buckets.ts";
import type { OnLimit } from "./listener-limits.ts";

/** The configured rates. */
export interface Rates {
  /** Calls a second of one caller of each kind, in the long run. */
  readonly user: number;
  readonly admin: number;
  readonly service: number;
  /** Calls a second of users, and of strangers, from one source: an IPv4 address or an IPv6 /64. */
  readonly source: number;
  /** Wrong proofs a minute from one source, over all users of a tenant. */
  readonly guesses: number;
}

/** Rate limits of this process. */
export interface LimitRates {
  /** Throws when the users and strangers of a source have used up its allowance. */
  source(ip: string): void;
  /** Counts a call from a source that no backend or administrator made. */
  charge(ip: string): void;
  /** Throws when the caller exceeds its rate. */
  caller(caller: Caller): void;
  /**
   * Counts a proof against the source's allowance of wrong ones before it is judged; the returned function takes it
   * back.
   */
  guess(tenantId: string, ip: string): () => void;
  /** The number of kept callers and sources. */
  sizes(): Readonly<Record<string, number>>;
}

/** The burst, in seconds of the rate: a loading page, a backend after a pause. */
const BURST_S = 10;
/** The burst of wrong proofs, in minutes of the rate: many users behind one address after holidays. */
const GUESS_BURST_MIN = 10;

const keyOf = (ip: string) => {
  const address = parseIp(ip);
  return address ? sourceOf(address) : "";
};

/**
 * Token buckets for each caller and each source. They keep a single credential or subscriber from exhausting the
 * service, or from trying one code on many users. Limits that must hold across instances, such as locks, are in the
 * store.
 */
export function limitRates(rates: Rates, onLimit: OnLimit, monotonicMs = () => performance.now()): LimitRates {
  const bucketsOf = (perSecond: number, burst: number) => new Buckets(perSecond, burst, monotonicMs);
  const [users, admins, services] = [rates.user, rates.admin, rates.service].map((rate) =>
    bucketsOf(rate, rate * BURST_S),
  ) as [Buckets, Buckets, Buckets];
  const sources = bucketsOf(rates.source, rates.source * BURST_S);
  const guesses = bucketsOf(rates.guesses / 60, rates.guesses * GUESS_BURST_MIN);
  const byPrincipal = new Map([
    [Principal.USER, users],
    [Principal.TICKET, users],
    [Principal.PROMPT, users],
    [Principal.DEVICE, users],
    [Principal.ADMIN, admins],
    [Principal.SERVICE, services],
  ]);
  const requireOne = (buckets: Buckets, key: string, limit: Parameters<OnLimit>[0]) => {
    const retryAfterMs = buckets.waitMs(key);
    if (retryAfterMs === 0) return;
    onLimit(limit);
    throw new Refusal("RATE_LIMITED", { retryAfterMs });
  };

  return {
    source: (ip) => requireOne(sources, keyOf(ip), "rate_source"),
    charge: (ip) => sources.take(keyOf(ip)),
    caller({ principal, tenantId, subject }) {
      const buckets = byPrincipal.get(principal);
      if (!buckets) return;
      const key = JSON.stringify([principal, tenantId, subject]);
      requireOne(buckets, key, "rate_caller");
      buckets.take(key);
    },
    guess(tenantId, ip) {
      // A backend that states no user address shares one source for all users; locks and its own rate hold.
      if (ip === "") return () => {};
      const key = JSON.stringify([tenantId, keyOf(ip)]);
      requireOne(guesses, key, "guesses_source");
      guesses.take(key);
      return () => guesses.giveBack(key);
    },
    sizes: () => ({
      user: users.size,
      admin: admins.size,
      service: services.size,
      source: sources.size,
      guesses: guesses.size,
    }),
  };
}
