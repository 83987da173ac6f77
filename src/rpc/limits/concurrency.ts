const START = 128;
const LEAST = 32;
const MOST = 256;
/** The slow-down, relative to a call alone, beyond which fewer run at once. */
const TOLERANCE = 4;
const WINDOW_MS = 200;
const WINDOW_CALLS = 20;
/** How fast the best times age, so that a permanently slower database does not count as overload. */
const FADING = 1.01;

/**
 * An adaptive concurrency limit: lowered when calls take much longer than alone, raised when all slots are in use and
 * they do not. The time alone is learned from each RPC's best times.
 */
export class Concurrency {
  #limit = START;
  #sum = 0;
  #count = 0;
  #wasFull = false;
  #since = performance.now();
  readonly #alone = new Map<string, number>();

  get limit(): number {
    return this.#limit;
  }

  /** A call had to wait for a slot. */
  full(): void {
    this.#wasFull = true;
  }

  /** A call of an RPC took so long. */
  took(rpc: string, ms: number): void {
    const best = Math.min(this.#alone.get(rpc) ?? ms, ms);
    this.#alone.set(rpc, Math.max(best, 0.1));
    this.#sum += Math.min(10, ms / Math.max(best, 0.1));
    this.#count += 1;
    if (this.#count >= WINDOW_CALLS && performance.now() - this.#since >= WINDOW_MS) this.#learn();
  }

  #learn(): void {
    const ratio = this.#sum / this.#count;
    const fitting = this.#limit * Math.max(0.5, Math.min(1, TOLERANCE / ratio));
    const next = this.#wasFull ? fitting + Math.sqrt(this.#limit) : fitting;
    this.#limit = Math.round(Math.max(LEAST, Math.min(MOST, 0.8 * this.#limit + 0.2 * next)));
    for (const [rpc, ms] of this.#alone) this.#alone.set(rpc, ms * FADING);
    this.#sum = 0;
    this.#count = 0;
    this.#wasFull = false;
    this.#since = performance.now();
  }
}
