import type { Store } from "../db/store.ts";
import { hasEnqueued } from "./outbox.ts";

/** Wraps the store: `wake` is called after each commit of a unit that enqueued a message. */
export const wakingStore = (store: Store, wake: () => void): Store => ({
  ...store,
  async write(work, about) {
    let enqueued = false;
    const result = await store.write(async (tx) => {
      const done = await work(tx);
      enqueued = hasEnqueued(tx);
      return done;
    }, about);
    if (enqueued) wake();
    return result;
  },
});
