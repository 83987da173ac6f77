import type { Store } from "../db/store.ts";

/** One stream's wait for changes. */
export interface Watch {
  /** Resolves at a change since the last call, at the time given by `until`, or when the stream's signal is aborted. */
  next(): Promise<void>;
  /** When to look again although nothing changed; replaces the time given before. */
  until(time: Date): void;
  /** Lets go of everything. */
  close(): void;
}

/** Where streams wait for what changes under them. */
export interface Hub {
  /** Begins to listen at once: what changes between this call and the first read is not missed. */
  watch(topic: string, signal: AbortSignal): Watch;
}

const TICK_MS = 1_000;

class Waiting implements Watch {
  readonly #hub: Waitings;
  readonly #topic: string;
  readonly #signal: AbortSignal;
  #second = 0;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(hub: Waitings, topic: string, signal: AbortSignal) {
    this.#hub = hub;
    this.#topic = topic;
    this.#signal = signal;
    hub.byTopic.add(topic, this);
    signal.addEventListener("abort", this);
  }

  /** As an event's listener: the stream is over. */
  handleEvent(): void {
    this.stir();
  }

  stir(): void {
    this.#changed = true;
    this.#wake?.();
    this.#wake = undefined;
  }

  async next(): Promise<void> {
    if (!this.#changed && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#changed = false;
  }

  until(time: Date): void {
    this.#hub.bySecond.delete(this.#second, this);
    this.#second = Math.ceil(time.getTime() / 1000);
    this.#hub.bySecond.add(this.#second, this);
  }

  close(): void {
    this.#signal.removeEventListener("abort", this);
    this.#hub.byTopic.delete(this.#topic, this);
    this.#hub.bySecond.delete(this.#second, this);
    this.#hub.settle();
  }
}

/** Sets by key; a key with nothing in it is no key. */
class Sets<K> {
  readonly sets = new Map<K, Set<Waiting>>();

  add(key: K, waiting: Waiting): void {
    const set = this.sets.get(key);
    if (set) set.add(waiting);
    else this.sets.set(key, new Set([waiting]));
  }

  delete(key: K, waiting: Waiting): void {
    const set = this.sets.get(key);
    set?.delete(waiting);
    if (set?.size === 0) this.sets.delete(key);
  }
}

/** Everybody who waits. */
interface Waitings {
  readonly byTopic: Sets<string>;
  readonly bySecond: Sets<number>;
  settle(): void;
}

/**
 * The one place where streams of this process wait: a map by topic, and a wheel of seconds for those that run out, with
 * one timer for all of them. Costs nothing while nobody waits, and no query until something changes.
 */
export function createHub(store: Pick<Store, "listen">, clock: () => Date): Hub {
  const byTopic = new Sets<string>();
  const bySecond = new Sets<number>();
  let ticking: NodeJS.Timeout | undefined;
  let deaf: (() => void) | undefined;

  const stirAll = (waiting: Iterable<Waiting>) => {
    for (const each of [...waiting]) each.stir();
  };

  const tick = () => {
    const now = clock().getTime() / 1000;
    for (const [second, due] of [...bySecond.sets]) if (second <= now) stirAll(due);
  };

  /** Listens and ticks while anybody waits. */
  const settle = () => {
    if (byTopic.sets.size > 0) {
      ticking ??= setInterval(tick, TICK_MS).unref();
      deaf ??= store.listen({
        heard: (topic) => stirAll(byTopic.sets.get(topic) ?? []),
        missed: () => {
          for (const waiting of [...byTopic.sets.values()]) stirAll(waiting);
        },
      });
      return;
    }
    clearInterval(ticking);
    ticking = undefined;
    deaf?.();
    deaf = undefined;
  };

  const waitings = { byTopic, bySecond, settle };
  return {
    watch(topic, signal) {
      const waiting = new Waiting(waitings, topic, signal);
      settle();
      return waiting;
    },
  };
}
