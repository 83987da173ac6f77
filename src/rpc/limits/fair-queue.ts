/** A waiting entry with its arrival time. */
export interface Waiting {
  readonly since: number;
}

/**
 * A fair queue: entries of many owners, taken one owner after the other, so that an owner with a thousand entries
 * delays only itself.
 */
export class FairQueue<T extends Waiting> {
  readonly #byOwner = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(owner: string, entry: T): void {
    const entries = this.#byOwner.get(owner);
    if (entries) entries.push(entry);
    else this.#byOwner.set(owner, [entry]);
    this.#size += 1;
  }

  /** Takes the oldest entry of the next owner, who then comes last. */
  take(): T | undefined {
    const [owner] = this.#byOwner.keys();
    if (owner === undefined) return undefined;
    const entries = this.#byOwner.get(owner) ?? [];
    const entry = entries.shift();
    this.#byOwner.delete(owner);
    if (entries.length > 0) this.#byOwner.set(owner, entries);
    if (entry) this.#size -= 1;
    return entry;
  }

  /** Removes entries that have waited since before an instant. */
  expire(before: number): T[] {
    const expired: T[] = [];
    for (const [owner, entries] of this.#byOwner) {
      const fresh = entries.findIndex(({ since }) => since >= before);
      const count = fresh === -1 ? entries.length : fresh;
      if (count === 0) continue;
      expired.push(...entries.splice(0, count));
      if (entries.length === 0) this.#byOwner.delete(owner);
    }
    this.#size -= expired.length;
    return expired;
  }
}
