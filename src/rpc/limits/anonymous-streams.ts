import type { ListenerLimits, OnLimit } from "./listener-limits.ts";
import { keyOfSource } from "./sources.ts";

/** Counts the open streams of unauthenticated RPCs. */
export interface AnonymousStreams {
  /** Opens one more from an address if allowed; the returned function is called when the stream closes. */
  open(address: string): (() => void) | undefined;
}

/**
 * Bounds the open streams of unauthenticated clients, in all and for each source. An address that several clients share
 * (a proxy's) counts in all only: pass "".
 */
export function limitAnonymousStreams(
  { maxAnonymousStreams, maxAnonymousStreamsPerSource }: ListenerLimits,
  onLimit: OnLimit,
): AnonymousStreams {
  const bySource = new Map<string, number>();
  let all = 0;
  return {
    open(address) {
      const key = keyOfSource(address);
      const held = bySource.get(key) ?? 0;
      const isFull = all >= maxAnonymousStreams || (key !== "" && held >= maxAnonymousStreamsPerSource);
      if (isFull) {
        onLimit("anonymous_streams");
        return undefined;
      }
      all += 1;
      bySource.set(key, held + 1);
      return () => {
        all -= 1;
        const left = (bySource.get(key) ?? 1) - 1;
        if (left > 0) bySource.set(key, left);
        else bySource.delete(key);
      };
    },
  };
}
