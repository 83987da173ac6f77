import type { Listener } from "./store.ts";

/** Tells the listeners of one store. */
export function createAnnouncements() {
  const listeners = new Set<Listener>();
  return {
    add(listener: Listener): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tell(topics: Iterable<string>): void {
      for (const topic of topics) for (const listener of listeners) listener.heard(topic);
    },
    tellOfGap(): void {
      for (const listener of listeners) listener.missed();
    },
  };
}
