import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Position } from "../db/page.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { userRepository } from "../users/users.repository.ts";
import { type AttemptsRow, attemptRepository } from "./attempts.repository.ts";
import type { Counter } from "./attempts.table.ts";
import { marksOfDay, NEVER } from "./lock-rules.ts";

/** What stops a user, as administrators see it. */
export interface Lockout {
  readonly userId: string;
  readonly counter: Counter;
  readonly consecutiveFailures: number;
  readonly dayFailures: number;
  readonly lockTime: Date;
  /** Undefined for one that only an administrator ends. */
  readonly unlockTime: Date | undefined;
}

const toLockout = (row: AttemptsRow, now: Date): Lockout => ({
  userId: row.userId,
  counter: row.counter,
  consecutiveFailures: row.consecutiveFailures,
  dayFailures: marksOfDay(row.recent, now).length,
  lockTime: row.updateTime,
  unlockTime: row.lockExpireTime?.getTime() === NEVER.getTime() ? undefined : (row.lockExpireTime ?? undefined),
});

const isLocked = ({ lockExpireTime }: AttemptsRow, now: Date) => lockExpireTime !== null && lockExpireTime > now;

/** What stops this user at present. */
export async function lockoutsOf(tx: Tx, owner: Owner, now: Date): Promise<Lockout[]> {
  const rows = await attemptRepository(tx).list(owner);
  return rows.filter((row) => isLocked(row, now)).map((row) => toLockout(row, now));
}

/** How often a user's proofs failed, of whatever counter: in a row, and in the last 24 hours. */
export async function failuresOf(tx: Tx, owner: Owner, now: Date): Promise<{ inRow: number; inDay: number }> {
  const rows = await attemptRepository(tx).list(owner);
  return {
    inRow: Math.max(0, ...rows.map(({ consecutiveFailures }) => consecutiveFailures)),
    inDay: rows.reduce((sum, { recent }) => sum + marksOfDay(recent, now).length, 0),
  };
}

/** A page of the lockouts of the caller's tenant, newest first. */
export async function listLockouts(tx: Tx, call: Call, page: { position: Position; size: number }) {
  const { tenantId } = call.caller;
  const { rows, next } = await attemptRepository(tx).listLocked(tenantId, { ...page, now: call.now });
  return { lockouts: rows.map((row) => toLockout(row, call.now)), next };
}

/**
 * Lets another user try again: ends the locks of `counters` and their failures in a row, and answers which locks that
 * were. The day's failures stay: past the day's number the next failure locks again, however often that is cleared.
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
    const locked = (await lockoutsOf(tx, owner, call.now)).filter(({ counter }) => counters.includes(counter));
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
