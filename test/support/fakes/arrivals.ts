/** Keeps what arrives at a fake, and lets a test wait for it. */
export function arrivals<T>() {
  const arrived: T[] = [];
  const waiting = new Set<() => void>();
  return {
    arrived,
    add: (one: T) => {
      arrived.push(one);
      for (const look of waiting) look();
    },
    /** Waits until so many are there, and answers the last of them. */
    nth: (count: number) =>
      new Promise<T>((resolve) => {
        const look = () => {
          const one = arrived[count - 1];
          if (one === undefined) return;
          waiting.delete(look);
          resolve(one);
        };
        waiting.add(look);
        look();
      }),
  };
}

/**
 * What a fake is to answer in place of a yes: a status, the peer's own name for the reason where it has one, and its
 * `Retry-After`.
 */
export interface No {
  readonly status: number;
  readonly retryAfter?: string;
  readonly reason?: string;
}
