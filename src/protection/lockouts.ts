import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Position } from "../db/page.ts";
import type { Owner, Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { userRepository } from "../users/users.repository.ts";
import { type AttemptsRow, attemptRepository } from "./attempts.repository.ts";
import type { Counter } from "./attempts.table.ts";
import { marksOfDay, NEVER } from "./lock-rules.ts";

/** A lock of a user, as administrators see it. */
export interface Lockout {
  readonly userId: string;
  readonly counter: Counter;
  readonly consecutiveFailures: number;
  readonly dayFailures: number;
  readonly lockTime: Date;
  /** The end of the lock; undefined for one that only an administrator ends. */
  readonly unlockTime: Date | undefined;
}

/**
 * Returns when a lock ends; undefined for one that only an administrator ends. One that begins after `now`, since the
 * clock was set back, begins anew and is not lengthened.
 */
function endOf({ lockExpireTime: end, updateTime: began }: AttemptsRow, now: Date): Date | undefined {
  if (!end || end.getTime() === NEVER.getTime()) return undefined;
  return now < began ? new Date(now.getTime() + end.getTime() - began.getTime()) : end;
}

const toLockout = (row: AttemptsRow, now: Date): Lockout => ({
  userId: row.userId,
  counter: row.counter,
  consecutiveFailures: row.consecutiveFailures,
  dayFailures: marksOfDay(row.recent, now).length,
  lockTime: row.updateTime,
  unlockTime: endOf(row, now),
});

const isLocked = ({ lockExpireTime }: AttemptsRow, now: Date) => lockExpireTime !== null && lockExpireTime > now;

const lockoutsIn = (rows: readonly AttemptsRow[], now: Date) =>
  rows.filter((row) => isLocked(row, now)).map((row) => toLockout(row, now));

/** Returns the user's present locks. */
export async function lockoutsOf(tx: Tx, owner: Owner, now: Date): Promise<Lockout[]> {
  return lockoutsIn(await attemptRepository(tx).list(owner), now);
}

/**
 * Returns the user's locks in a writing unit. Locks that begin after `now` are set to begin now, so that they end in
 * time.
 */
export async function lockoutsFrom(tx: Tx, owner: Owner, now: Date): Promise<Lockout[]> {
  const attempts = attemptRepository(tx);
  for (const row of await attempts.list(owner)) {
    const end = isLocked(row, now) && now < row.updateTime ? endOf(row, now) : undefined;
    if (end) await attempts.moveLock(row, row.updateTime, now, end);
  }
  return lockoutsOf(tx, owner, now);
}

/** Returns a user's failures over all counters: in a row, and in the last 24 hours. */
export async function failuresOf(tx: Tx, owner: Owner, now: Date): Promise<{ inRow: number; inDay: number }> {
  const rows = await attemptRepository(tx).list(owner);
  return {
    inRow: Math.max(0, ...rows.map(({ consecutiveFailures }) => consecutiveFailures)),
    inDay: rows.reduce((sum, { recent }) => sum + marksOfDay(recent, now).length, 0),
  };
}

/** Lists the locks of the caller's tenant, newest first. */
export async function listLockouts(tx: Tx, call: Call, page: { position: Position; size: number }) {
  const { tenantId } = call.caller;
  const { rows, next } = await attemptRepository(tx).listLocked(tenantId, { ...page, now: call.now });
  return { lockouts: rows.map((row) => toLockout(row, call.now)), next };
}

/**
 * Clears the locks of `counters` and their failures in a row; returns the cleared locks. The failures of the last 24
 * hours stay counted: beyond their limit the next failure locks again.
 */
export async function clearLockouts(
  call: Call,
  owner: Owner,
  { counters, reason }: { counters: readonly Counter[]; reason: string },
): Promise<Lockout[] | Refusal> {
  if (call.caller.subject === owner.userId) return new Refusal("SELF_ACTION");
  return call.unit(async (tx) => {
    await userRepository(tx).serialise(owner, call.now);
    const attempts = attemptRepository(tx);
    // Unchecked: what somebody else wrote there is what is to be cleared.
    const locked = lockoutsIn(await attempts.listStored(owner), call.now).filter(({ counter }) =>
      counters.includes(counter),
    );
    for (const counter of counters) await attempts.clear({ ...owner, counter });
    await recordAudit(tx, call, {
      owner,
      action: "lockout.cleared",
      targetId: owner.userId,
      reason,
      before: { locked: locked.map(({ counter }) => counter) },
    });
    if (locked.length > 0) await recordEvent(tx, call, { owner, type: "USER_UNLOCKED" });
    return locked;
  });
}
