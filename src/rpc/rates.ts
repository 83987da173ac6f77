import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../core/caller.ts";
import { parseIp, sourceOf } from "../core/ip-address.ts";
import type { OnLimit } from "../core/listener-limits.ts";
import { Refusal } from "../core/refusal.ts";
import { Buckets } from "./buckets.ts";

/** How often is how much. */
export interface Rates {
  /** Calls a second that one caller of each kind may make in the long run. */
  readonly user: number;
  readonly admin: number;
  readonly service: number;
  /** Calls a second of users, and of strangers, from one source: an IPv4 address or an IPv6 /64. */
  readonly source: number;
  /** Wrong proofs a minute from one source, over all users of a tenant. */
  readonly guesses: number;
}

/** Limits how often may be called, in this process. */
export interface LimitRates {
  /** Before anything is known of a call but where it comes from: throws when that place has used up its allowance. */
  source(ip: string): void;
  /** A call came from there that no backend or administrator made. */
  charge(ip: string): void;
  /** Throws when this caller calls too often. */
  caller(caller: Caller): void;
  /** Takes a wrong proof off a source's allowance before it is judged, and returns what gives it back. */
  guess(tenantId: string, ip: string): () => void;
  /** How many callers and sources are remembered. */
  sizes(): Readonly<Record<string, number>>;
}

/** How many seconds' worth of calls may come at once: a page that loads, a backend after a pause. */
const BURST_S = 10;
/** How many minutes' worth of wrong proofs: a school whose pupils all come back from their holidays. */
const GUESS_BURST_MIN = 10;

const keyOf = (ip: string) => {
  const address = parseIp(ip);
  return address ? sourceOf(address) : "";
};

/**
 * Token buckets for each caller and each source. They keep a single credential or subscriber from taking the service
 * over, or trying one code on everybody; what must hold across instances, such as locks, is in the store.
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
      // A backend that does not say where its user is speaks for all of them; locks and its own rate hold.
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
