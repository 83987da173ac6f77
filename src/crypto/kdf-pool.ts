import { type BinaryLike, scrypt } from "node:crypto";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { Refusal } from "../core/refusal.ts";

const stretch = promisify<BinaryLike, BinaryLike, number, { N: number; r: number; p: number }, Buffer>(scrypt);

/**
 * scrypt's N (RFC 7914 section 2): with r = 8, 4 MiB and about 6 ms a derivation. Enough for codes of 80 random bits,
 * where the cost only adds to an infeasible search.
 */
const COST = 2 ** 12;
const KEY_BYTES = 32;

/**
 * Derivations at once. Never all four threads of libuv, which also verify tokens, and never all cores: one is left for
 * the event loop.
 */
const RUNNING = Math.max(1, Math.min(2, availableParallelism() - 1));
/** Derivations queued or running: about three seconds' work on two cores. */
const PLACES = 512;

/** A reserved slot in the queue, to be released in every case. */
export interface KdfPlace {
  leave(): void;
}

/**
 * scrypt for typed codes, off the event loop and bounded, so that checks do not delay other work. A caller reserves a
 * slot first, before an attempt is counted, and then derives.
 */
export interface KdfPool {
  /**
   * Reserves a slot for `size` consecutive derivations; throws RATE_LIMITED when the pool is full. Requests of more
   * than one leave half of all slots free for proofs, which take one.
   */
  enter(size?: number): KdfPlace;
  /** Derives a key from a code. Only for holders of a slot. */
  derive(code: string, salt: Uint8Array): Promise<Buffer>;
}

/** The pool of a process. Keys derived at one `cost` never match those of another. */
export function createKdfPool({ running = RUNNING, places = PLACES, cost = COST } = {}): KdfPool {
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
        return await stretch(code, salt, KEY_BYTES, { N: cost, r: 8, p: 1 });
      } finally {
        pass();
      }
    },
  };
}
