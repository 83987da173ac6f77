import type { ChangeListener } from "./store.ts";

/** Calls the listeners of one store. */
export function createAnnouncements() {
  const listeners = new Set<ChangeListener>();
  return {
    add(listener: ChangeListener): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tell(topics: Iterable<string>): void {
      for (const topic of topics) for (const listener of listeners) listener.onTopic(topic);
    },
    tellOfGap(): void {
      for (const listener of listeners) listener.onGap();
    },
  };
}
