import { type BinaryLike, scrypt } from "node:crypto";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { Refusal } from "../core/refusal.ts";

const stretch = promisify<BinaryLike, BinaryLike, number, { N: number; r: number; p: number }, Buffer>(scrypt);

/** 4 MiB and some 6 ms each: enough above 80 random bits, where guessing is hopeless and cost only slows thieves. */
const COST = { N: 2 ** 12, r: 8, p: 1 };
const KEY_BYTES = 32;

/**
 * How many run at once. Never all four threads of libuv, which also verify tokens, and never all cores: one is left for
 * the event loop.
 */
const RUNNING = Math.max(1, Math.min(2, availableParallelism() - 1));
/** How many may be asked for at once, those that run included: some three seconds' worth on two cores. */
const PLACES = 512;

/** A place in the queue, to be left whatever happens. */
export interface KdfPlace {
  leave(): void;
}

/**
 * scrypt for codes that people type, off the event loop and bounded, so that however many are checked nothing else
 * waits for it. Who needs some takes a place first, where a no costs nobody anything yet, and then derives.
 */
export interface KdfPool {
  /**
   * Takes a place for `size` derivations one after the other; throws RATE_LIMITED when there is none. More than one at
   * once leave half of all places free, for the proofs, which take one.
   */
  enter(size?: number): KdfPlace;
  /** Stretches a code, in its turn. Only for those who hold a place. */
  derive(code: string, salt: Uint8Array): Promise<Buffer>;
}

/** The pool of a process. */
export function createKdfPool({ running = RUNNING, places = PLACES } = {}): KdfPool {
  const waiting: (() => void)[] = [];
  let free = places;
  let idle = running;

  const turn = async () => {
    if (idle > 0) idle--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const pass = () => {
    const next = waiting.shift();
    if (next) next();
    else idle++;
  };

  return {
    enter(size = 1) {
      if (free - size < (size > 1 ? places / 2 : 0)) throw new Refusal("RATE_LIMITED", { retryAfterMs: 1000 });
      let held = size;
      free -= held;
      return {
        leave: () => {
          free += held;
          held = 0;
        },
      };
    },
    async derive(code, salt) {
      await turn();
      try {
        return await stretch(code, salt, KEY_BYTES, COST);
      } finally {
        pass();
      }
    },
  };
}
