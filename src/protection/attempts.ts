import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { topicOf } from "../users/user-topic.ts";
import { type AttemptsRow, attemptRepository, type Count } from "./attempts.repository.ts";
import type { Counter } from "./attempts.table.ts";
import { attemptsLeft, type LockProfile, lockedUntil, markOf, marksOfDay, NEVER } from "./lock-rules.ts";

/** An attempt that was counted and may be judged. */
export interface Reservation {
  /** Which attempt, for `settle` and `refund`. */
  readonly mark: string;
  /** The failures since the last success or lock, this one among them. */
  readonly failures: number;
  /** It was the last one: the user is locked until then. */
  readonly lockExpireTime: Date | undefined;
  /** How many more would be judged before a lock, should this one be wrong. */
  readonly remaining: number;
}

/**
 * A clock that was set back must not make a lock longer than it was meant: the lock then begins anew. One that was set
 * forward and back again ends it early, as nobody can tell.
 */
async function remainingMs(tx: Tx, row: AttemptsRow, now: Date): Promise<number | undefined> {
  const { lockExpireTime: end, updateTime: began } = row;
  if (!end || end.getTime() === NEVER.getTime()) return undefined;
  if (now >= began) return end.getTime() - now.getTime();
  const ms = end.getTime() - began.getTime();
  await attemptRepository(tx).moveLock(row, began, now, new Date(now.getTime() + ms));
  return ms;
}

async function locked(tx: Tx, count: Count, now: Date): Promise<Refusal> {
  const row = await attemptRepository(tx).find(count);
  const retryAfterMs = row && (await remainingMs(tx, row, now));
  return new Refusal("LOCKED", retryAfterMs === undefined ? {} : { retryAfterMs });
}

/**
 * Counts an attempt before it is judged: the count is committed whatever happens afterwards, so that parallel guesses
 * cannot outrun it. The last attempt that the rules allow locks at once; a success unlocks by `settle`.
 */
export async function reserve(tx: Tx, count: Count, profile: LockProfile, now: Date): Promise<Reservation | Refusal> {
  const attempts = attemptRepository(tx);
  const mark = markOf(now);
  const counted = await attempts.hit(count, mark, now);
  if (!counted) return locked(tx, count, now);
  const recent = marksOfDay(counted.recent, now).join("");
  if (recent !== counted.recent) await attempts.keepRecent(count, recent);
  const today = { ...counted, recent };
  const lockExpireTime = lockedUntil(today, profile, now);
  if (lockExpireTime) await attempts.lock(count, lockExpireTime);
  const remaining = lockExpireTime ? 0 : attemptsLeft(today, profile, now);
  return { mark, failures: counted.failures, lockExpireTime, remaining };
}

/** Takes back the reservation and the failures in a row before it: the attempt was right. */
export async function settle(tx: Tx, count: Count, { mark }: Reservation): Promise<void> {
  await attemptRepository(tx).settle(count, mark);
}

/** Takes back the reservation alone: nothing was wrong and nothing was proved, so the failures before it stand. */
export async function refund(tx: Tx, count: Count, { mark, failures, lockExpireTime }: Reservation): Promise<void> {
  const attempts = attemptRepository(tx);
  if (lockExpireTime) await attempts.unlock(count, failures, lockExpireTime);
  await attempts.refund(count, mark);
}

/** The attempt that locked was wrong: what was open for the user until `now` dies. */
export async function confirmLock(tx: Tx, count: Count, now: Date): Promise<void> {
  await attemptRepository(tx).noteLock(count, now);
}

/**
 * Locks a user without a failed attempt, as they say that somebody else is at it. What was open for them dies, as with
 * any lock.
 */
export async function lockAtOnce(tx: Tx, count: Count, lockExpireTime: Date, now: Date): Promise<void> {
  await attemptRepository(tx).lockAtOnce(count, lockExpireTime, now);
  tx.announce(topicOf(count));
}

/**
 * Whether failures have locked the user since something was begun: then it must not be completed, even after the lock
 * has ended. For challenges, ceremonies and codes that were sent. `of`: by this counter only.
 */
export async function wasLockedSince(tx: Tx, owner: Owner, since: Date, of?: Counter): Promise<boolean> {
  const locked = await attemptRepository(tx).listLockedSince(owner, since);
  return locked.some(({ counter }) => of === undefined || counter === of);
}
