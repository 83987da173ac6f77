import type { Store } from "../db/store.ts";

/** A stream's subscription to a topic. */
export interface Watch {
  /** Resolves at a change since the last call, at the time given by `until`, or when the stream's signal is aborted. */
  next(): Promise<void>;
  /** When to look again although nothing changed; replaces the time given before. */
  until(time: Date): void;
  /** Ends the subscription. */
  close(): void;
}

/** Wakes open streams on changes. */
export interface Notifier {
  /** Subscribes at once, so that a change between this call and the first read is not missed. */
  watch(topic: string, signal: AbortSignal): Watch;
}

const TICK_MS = 1_000;

class Waiting implements Watch {
  readonly #registry: Waitings;
  readonly #topic: string;
  readonly #signal: AbortSignal;
  #second = 0;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(registry: Waitings, topic: string, signal: AbortSignal) {
    this.#registry = registry;
    this.#topic = topic;
    this.#signal = signal;
    registry.byTopic.add(topic, this);
    signal.addEventListener("abort", this);
  }

  /** The abort event's listener: the stream has ended. */
  handleEvent(): void {
    this.wake();
  }

  wake(): void {
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
    this.#registry.bySecond.delete(this.#second, this);
    this.#second = Math.ceil(time.getTime() / 1000);
    this.#registry.bySecond.add(this.#second, this);
  }

  close(): void {
    this.#signal.removeEventListener("abort", this);
    this.#registry.byTopic.delete(this.#topic, this);
    this.#registry.bySecond.delete(this.#second, this);
    this.#registry.settle();
  }
}

/** A map of sets; empty sets are removed. */
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

/** All subscriptions. */
interface Waitings {
  readonly byTopic: Sets<string>;
  readonly bySecond: Sets<number>;
  settle(): void;
}

/**
 * The notifier of a process: a map of subscriptions by topic, and a wheel of seconds for those with a time, with one
 * timer for all. It costs nothing without subscriptions, and no query until something changes.
 */
export function createNotifier(store: Pick<Store, "listen">, clock: () => Date): Notifier {
  const byTopic = new Sets<string>();
  const bySecond = new Sets<number>();
  let ticking: NodeJS.Timeout | undefined;
  let deaf: (() => void) | undefined;

  const stirAll = (waiting: Iterable<Waiting>) => {
    for (const each of [...waiting]) each.wake();
  };

  const tick = () => {
    const now = clock().getTime() / 1000;
    for (const [second, due] of [...bySecond.sets]) if (second <= now) stirAll(due);
  };

  /** Listens and ticks while there are subscriptions. */
  const settle = () => {
    if (byTopic.sets.size > 0) {
      ticking ??= setInterval(tick, TICK_MS).unref();
      deaf ??= store.listen({
        onTopic: (topic) => stirAll(byTopic.sets.get(topic) ?? []),
        onGap: () => {
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
