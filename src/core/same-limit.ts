/** Ends things that may all take equally long, the oldest first, by one timer for any number of them. */
export interface SameLimit {
  /** Has `end` called when the time of what begins now is over; what it returns takes that back. */
  begin(end: () => void): () => void;
}

/** A limit of so many milliseconds. Its timer keeps no process running. */
export function sameLimit(ms: number): SameLimit {
  // In the order of their beginning, and so of their ends.
  const open = new Map<() => void, number>();
  let isTimed = false;

  const look = () => {
    isTimed = false;
    for (const [end, due] of open) {
      const left = due - performance.now();
      if (left > 0) {
        return wait(left);
      }
      open.delete(end);
      end();
    }
  };

  const wait = (left: number) => {
    isTimed = true;
    setTimeout(look, Math.ceil(left)).unref();
  };

  return {
    begin(end) {
      open.set(end, performance.now() + ms);
      if (!isTimed) wait(ms);
      return () => void open.delete(end);
    },
  };
}
