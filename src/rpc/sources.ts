import { parseIp, sourceOf } from "../core/ip-address.ts";
import type { ListenerLimits, OnLimit } from "../core/listener-limits.ts";

const FIRST_MS = 1_000;
const GROWTH = 4;
const LONGEST_MS = 600_000;
/** The longest unheard are forgotten first. */
const MAX_REMEMBERED = 10_000;

const keyOf = (address = "") => {
  // The zone of a link-local peer is our own interface.
  const ip = parseIp(address.split("%", 1)[0] ?? "");
  return ip ? sourceOf(ip) : "";
};

/** What is asked of a socket. */
export interface Opened {
  readonly remoteAddress?: string | undefined;
  once(event: "close", listener: () => void): unknown;
}

/**
 * Where the sockets of a listener come from: an IPv4 address or an IPv6 /64. Each may hold so many; one whose connection
 * was cut for abuse gets no other for a second, and four times as long after each further cut.
 */
export class Sources {
  readonly #open = new Map<string, number>();
  readonly #cut = new Map<string, { readonly forMs: number; readonly untilMs: number }>();
  readonly #max: number;
  readonly #onLimit: OnLimit;
  readonly #now: () => number;

  constructor(max: number, onLimit: OnLimit, monotonicMs: () => number = () => performance.now()) {
    this.#max = max;
    this.#onLimit = onLimit;
    this.#now = monotonicMs;
  }

  /** Whether a new socket may stay; it is counted until it closes. */
  admit(socket: Opened): boolean {
    const key = keyOf(socket.remoteAddress);
    const open = this.#open.get(key) ?? 0;
    if (this.#now() < (this.#cut.get(key)?.untilMs ?? 0)) {
      this.#onLimit("cut_source");
      return false;
    }
    if (open >= this.#max) {
      this.#onLimit("connections_source");
      return false;
    }
    this.#open.set(key, open + 1);
    socket.once("close", () => {
      const left = (this.#open.get(key) ?? 1) - 1;
      if (left > 0) this.#open.set(key, left);
      else this.#open.delete(key);
    });
    return true;
  }

  /** A connection from there was cut for abuse. */
  cut(address: string): void {
    const key = keyOf(address);
    const before = this.#cut.get(key);
    const now = this.#now();
    // Connections that were open already add nothing; who was quiet for the longest time begins anew.
    if (before && now < before.untilMs) return;
    const forMs = before && now < before.untilMs + LONGEST_MS ? Math.min(before.forMs * GROWTH, LONGEST_MS) : FIRST_MS;
    this.#cut.delete(key);
    this.#cut.set(key, { forMs, untilMs: now + forMs });
    const [oldest] = this.#cut.keys();
    if (oldest !== undefined && this.#cut.size > MAX_REMEMBERED) this.#cut.delete(oldest);
  }
}

/** What a listener asks of its sources; behind a proxy nothing, since the one source there is the proxy. */
export function sourcesOf(
  { behindProxy = false, onLimit = () => {} }: { readonly behindProxy?: boolean; readonly onLimit?: OnLimit },
  { maxConnectionsPerSource }: Pick<ListenerLimits, "maxConnectionsPerSource">,
): Pick<Sources, "admit" | "cut"> {
  return behindProxy ? { admit: () => true, cut: () => {} } : new Sources(maxConnectionsPerSource, onLimit);
}
