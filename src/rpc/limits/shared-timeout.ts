/** One timer for any number of equal time-outs, oldest first. */
export interface SharedTimeout {
  /** Calls `end` when the time-out elapses; the returned function cancels it. */
  begin(end: () => void): () => void;
}

/** Makes a shared time-out of `ms` milliseconds. Its timer does not keep the process running. */
export function createSharedTimeout(ms: number): SharedTimeout {
  // In the order of their start, and so of their end.
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
