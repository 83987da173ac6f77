import { parseIp, sourceOf } from "../../core/ip-address.ts";
import type { ListenerLimits, OnLimit } from "./listener-limits.ts";

const FIRST_MS = 1_000;
const GROWTH = 4;
const LONGEST_MS = 600_000;
/** The least recently seen are evicted first. */
const MAX_REMEMBERED = 10_000;

/** Returns the source of an address: an IPv4 address or an IPv6 /64; "" for an invalid one. */
export const keyOfSource = (address = "") => {
  // The zone of a link-local peer is our own interface.
  const ip = parseIp(address.split("%", 1)[0] ?? "");
  return ip ? sourceOf(ip) : "";
};

/** How long an address counts as a known backend's after its last verified credential. */
const KNOWN_MS = 24 * 60 * 60_000;

/** The limits by source. */
export interface Opened {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  once(event: "close", listener: () => void): unknown;
  destroy?(): unknown;
}

/** Evicts the oldest entry. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (oldest !== undefined && map.size > MAX_REMEMBERED) map.delete(oldest);
}

/**
 * Limits of sockets by source, an IPv4 address or an IPv6 /64. A source whose connection was closed for abuse is
 * refused for a second, and four times as long after each further one. An address with a verified backend is never
 * refused, so that a stranger there cannot shut the backend out: there strangers' sockets are closed to make room, the
 * oldest first, and may cancel fewer calls.
 */
export class Sources {
  readonly #open = new Map<string, Set<Opened>>();
  readonly #proven = new WeakSet<Opened>();
  readonly #known = new Map<string, number>();
  readonly #cut = new Map<string, { readonly forMs: number; readonly untilMs: number }>();
  readonly #max: number;
  readonly #onLimit: OnLimit;
  readonly #now: () => number;

  constructor(max: number, onLimit: OnLimit, monotonicMs: () => number = () => performance.now()) {
    this.#max = max;
    this.#onLimit = onLimit;
    this.#now = monotonicMs;
  }

  /** Admits a new socket, or returns false; it is counted until it closes. */
  admit(socket: Opened): boolean {
    const key = keyOfSource(socket.remoteAddress);
    const open = this.#open.get(key) ?? new Set();
    const isKnown = this.#isKnown(key);
    if (!isKnown && this.isCut(socket.remoteAddress)) {
      this.#onLimit("cut_source");
      return false;
    }
    if (open.size >= this.#max) {
      this.#onLimit("connections_source");
      const stranger = isKnown ? [...open].find((one) => !this.#proven.has(one)) : undefined;
      if (!stranger) return false;
      open.delete(stranger);
      stranger.destroy?.();
    }
    open.add(socket);
    this.#open.set(key, open);
    socket.once("close", () => {
      open.delete(socket);
      if (open.size === 0 && this.#open.get(key) === open) this.#open.delete(key);
    });
    return true;
  }

  /** A backend was verified on a socket: it stays, and its address is not refused. */
  prove(address: string, port: number): void {
    const key = keyOfSource(address);
    remember(this.#known, key, this.#now() + KNOWN_MS);
    for (const socket of this.#open.get(key) ?? []) {
      if (socket.remotePort === port && socket.remoteAddress === address) this.#proven.add(socket);
    }
  }

  /** Whether the source is still refused after abuse. */
  isCut(address: string | undefined): boolean {
    return this.#now() < (this.#cut.get(keyOfSource(address))?.untilMs ?? 0);
  }

  /** A stranger's connection from the source was closed for abuse. */
  cut(address: string): void {
    const key = keyOfSource(address);
    const before = this.#cut.get(key);
    const now = this.#now();
    // Connections that were open already add nothing; after the longest quiet time the count starts over.
    if (before && now < before.untilMs) return;
    const forMs = before && now < before.untilMs + LONGEST_MS ? Math.min(before.forMs * GROWTH, LONGEST_MS) : FIRST_MS;
    remember(this.#cut, key, { forMs, untilMs: now + forMs });
  }

  #isKnown(key: string): boolean {
    return this.#now() < (this.#known.get(key) ?? 0);
  }
}

/** Makes a listener's limits by source; none behind a proxy, which is the only source there. */
export function sourcesOf(
  { behindProxy = false, onLimit = () => {} }: { readonly behindProxy?: boolean; readonly onLimit?: OnLimit },
  { maxConnectionsPerSource }: Pick<ListenerLimits, "maxConnectionsPerSource">,
): Pick<Sources, "admit" | "cut" | "isCut" | "prove"> {
  const one = { admit: () => true, cut: () => {}, isCut: () => false, prove: () => {} };
  return behindProxy ? one : new Sources(maxConnectionsPerSource, onLimit);
}
