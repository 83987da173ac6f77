import type { Store } from "../db/store.ts";
import { hasEnqueued } from "./outbox.ts";

/** The store, with `wake` called after each commit of a unit that enqueued something. */
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
