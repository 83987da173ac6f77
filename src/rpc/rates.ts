import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";

/** Calls a second that one caller of each kind may make in the long run. */
export interface Rates {
  readonly user: number;
  readonly admin: number;
  readonly service: number;
}

/** Refuses a call of a caller who makes too many, with the time after which the next one is taken. */
export type LimitRate = (caller: Caller) => void;

/** How many seconds' worth of calls may come at once: a page that loads, a backend after a pause. */
const BURST_S = 10;
/** The longest unheard callers are forgotten first; they start over with a full allowance, as they have by then. */
const MAX_CALLERS = 100_000;

/**
 * Limits how often one caller may call, by a token bucket each, in this process. It keeps a single credential from
 * taking the service over; what must hold across instances, such as locks and budgets, is in the store.
 */
export function limitRates(rates: Rates, monotonicMs: () => number = () => performance.now()): LimitRate {
  const buckets = new Map<string, { calls: number; at: number }>();
  const perSecond = new Map([
    [Principal.USER, rates.user],
    [Principal.TICKET, rates.user],
    [Principal.DEVICE, rates.user],
    [Principal.ADMIN, rates.admin],
    [Principal.SERVICE, rates.service],
  ]);

  return ({ principal, tenantId, subject }) => {
    const rate = perSecond.get(principal);
    if (rate === undefined) return;
    const key = JSON.stringify([principal, tenantId, subject]);
    const now = monotonicMs();
    const { calls, at } = buckets.get(key) ?? { calls: rate * BURST_S, at: now };
    const left = Math.min(rate * BURST_S, calls + ((now - at) / 1000) * rate);
    buckets.delete(key);
    buckets.set(key, { calls: left < 1 ? left : left - 1, at: now });
    const [oldest] = buckets.keys();
    if (oldest !== undefined && buckets.size > MAX_CALLERS) buckets.delete(oldest);
    if (left < 1) throw new Refusal("RATE_LIMITED", { retryAfterMs: Math.ceil(((1 - left) / rate) * 1000) });
  };
}
