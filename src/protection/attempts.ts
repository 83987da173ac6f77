import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { topicOf } from "../users/user-topic.ts";
import { type AttemptsRow, attemptRepository, type Count } from "./attempts.repository.ts";
import type { Counter } from "./attempts.table.ts";
import {
  attemptsLeft,
  isJudging,
  type LockProfile,
  lockedUntil,
  markOf,
  marksOfDay,
  NEVER,
  wrongMark,
} from "./lock-rules.ts";

/** An attempt that was counted and may be judged. */
export interface Reservation {
  /** The attempt's mark, for `settle` and `refund`. */
  readonly mark: string;
  /** The failures since the last success or lock, this one among them. */
  readonly failures: number;
  /** When the lock before it came into force; the epoch where there was none. */
  readonly seen: Date;
  /** Set when this attempt locks the user: the end of the lock. */
  readonly lockExpireTime: Date | undefined;
  /** The attempts left before a lock if this one is wrong. */
  readonly remaining: number;
}

/**
 * A clock that is set back must not lengthen a lock: the lock then starts anew. One that is set forward and back again
 * ends it early, which cannot be detected.
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
  if (counted.lockExpireTime) await attempts.endLock(count);
  const recent = marksOfDay(counted.recent, now).join("");
  if (recent !== counted.recent) await attempts.keepRecent(count, recent);
  const today = { ...counted, recent };
  const lockExpireTime = lockedUntil(today, profile, now);
  if (lockExpireTime) await attempts.lock(count, lockExpireTime);
  const remaining = lockExpireTime ? 0 : attemptsLeft(today, profile, now);
  return { mark, failures: counted.failures, seen: counted.lockTime ?? new Date(0), lockExpireTime, remaining };
}

/**
 * Ends a successful attempt: takes back the reservation and the failures in a row before it. A lock that began while it
 * was judged, by a wrong attempt or a user's report, stays.
 */
export async function settle(tx: Tx, count: Count, { mark, seen }: Reservation): Promise<void> {
  await attemptRepository(tx).settle(count, mark, seen);
}

/** Takes back the reservation alone, when nothing was wrong and nothing was proved: earlier failures stay counted. */
export async function refund(
  tx: Tx,
  count: Count,
  { mark, failures, seen, lockExpireTime }: Reservation,
): Promise<void> {
  const attempts = attemptRepository(tx);
  if (lockExpireTime) await attempts.unlock(count, { failures, lockedUntil: lockExpireTime, seen });
  await attempts.refund(count, mark);
}

/**
 * Records that an attempt was wrong; returns whether the user is locked now, which ends the user's open challenges.
 * Attempts are counted before they are judged: of several at once, the one that reached the limit may be found wrong
 * while others may still be right and lift the lock. The last wrong one confirms the lock.
 */
export async function noteWrong(tx: Tx, count: Count, { mark }: Reservation, now: Date): Promise<boolean> {
  const attempts = attemptRepository(tx);
  const row = await attempts.noteWrong(count, mark, wrongMark(mark));
  if (!row?.lockExpireTime || row.lockExpireTime <= now || isJudging(row.recent, now)) return false;
  // Confirmed before, or not caused by failures.
  if (row.lockTime && row.lockTime >= row.updateTime) return false;
  await attempts.noteLock(count, now > row.updateTime ? now : row.updateTime);
  return true;
}

/**
 * Locks a user without a failed attempt, after the user's report of somebody else's request. It ends the user's open
 * challenges like any lock.
 */
export async function lockAtOnce(tx: Tx, count: Count, lockExpireTime: Date, now: Date): Promise<void> {
  await attemptRepository(tx).lockAtOnce(count, lockExpireTime, now);
  tx.announce(topicOf(count));
}

/**
 * Whether the user was locked since `time`: then challenges, ceremonies and sent codes of before must not be completed,
 * even after the lock's end. `of` restricts it to one counter.
 */
export async function wasLockedSince(tx: Tx, owner: Owner, since: Date, of?: Counter): Promise<boolean> {
  const locked = await attemptRepository(tx).listLockedSince(owner, since);
  return locked.some(({ counter }) => of === undefined || counter === of);
}
