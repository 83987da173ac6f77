/** The least recently used keys are evicted first; they start over with a full allowance, which they have by then. */
const MAX_KEYS = 100_000;

/** Token buckets by key, in this process: a burst, and then a rate a second. */
export class Buckets {
  readonly #levels = new Map<string, { readonly left: number; readonly at: number }>();
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;

  constructor(perSecond: number, burst: number, monotonicMs: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = monotonicMs;
  }

  /** The number of kept keys. */
  get size(): number {
    return this.#levels.size;
  }

  /** Returns the milliseconds until a token is available; 0 for now. */
  waitMs(key: string): number {
    const left = this.#left(key);
    return left >= 1 ? 0 : Math.ceil(((1 - left) / this.#perSecond) * 1000);
  }

  /** Takes a token even where there is none: concurrent calls may overdraw, which later waits pay back. */
  take(key: string): void {
    this.#set(key, this.#left(key) - 1);
  }

  giveBack(key: string): void {
    this.#set(key, Math.min(this.#burst, this.#left(key) + 1));
  }

  #left(key: string): number {
    const { left, at } = this.#levels.get(key) ?? { left: this.#burst, at: 0 };
    return Math.min(this.#burst, left + ((this.#now() - at) / 1000) * this.#perSecond);
  }

  #set(key: string, left: number): void {
    this.#levels.delete(key);
    this.#levels.set(key, { left, at: this.#now() });
    const [oldest] = this.#levels.keys();
    if (oldest !== undefined && this.#levels.size > MAX_KEYS) this.#levels.delete(oldest);
  }
}
