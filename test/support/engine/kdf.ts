import { createKdfPool, type KdfPool } from "../../../src/crypto/kdf-pool.ts";

/** A pool whose derivations take no time to speak of: most tests are about codes, not about what they cost to guess. */
export const cheapPool = (options: { readonly places?: number } = {}) => createKdfPool({ ...options, cost: 2 });

/** A pool that counts, and that can be made to wait. */
export function watchedPool(pool: KdfPool = cheapPool()) {
  let held = Promise.resolve();
  const watched = {
    derived: 0,
    hold() {
      let release = () => {};
      held = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
    enter: pool.enter,
    async derive(code: string, salt: Uint8Array) {
      watched.derived++;
      await held;
      return pool.derive(code, salt);
    },
  };
  return watched;
}
