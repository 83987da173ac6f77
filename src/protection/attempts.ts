import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { attemptRepository, type Count } from "./attempts.repository.ts";

/** How many typed codes are judged before the user is locked. */
export const MAX_FAILURES = 5;

const MINUTE_MS = 60_000;
const LOCK_MINUTES = [1, 5, 15, 60];

const lockMs = (locks: number) => (LOCK_MINUTES[locks] ?? 60) * MINUTE_MS;

/** An attempt that was counted and may be judged. `locking`: it was the last one, and the user is locked by now. */
export interface Reservation {
  readonly locking: boolean;
}

/**
 * Counts an attempt before it is judged: the count is committed whatever happens afterwards, so that parallel guesses
 * cannot outrun it. The last attempt of a row locks at once; a success unlocks by `settle`. Locks grow from one minute
 * to an hour.
 */
export async function reserve(tx: Tx, count: Count, now: Date): Promise<Reservation | Refusal> {
  const attempts = attemptRepository(tx);
  const counted = await attempts.hit(count, now);
  if (!counted) {
    const locked = await attempts.find(count);
    return new Refusal("LOCKED", { retryAfterMs: (locked?.lockExpireTime?.getTime() ?? 0) - now.getTime() });
  }
  const locking = counted.failures >= MAX_FAILURES;
  if (locking) await attempts.lock(count, new Date(now.getTime() + lockMs(counted.locks)));
  return { locking };
}

/** Takes back the reservation and the failures before it: the attempt was right. */
export async function settle(tx: Tx, count: Count): Promise<void> {
  await attemptRepository(tx).clear(count);
}
