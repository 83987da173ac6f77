import { recordAudit, recordChange } from "../audit/changes.ts";
import { challengeRepository } from "../challenges/challenges.repository.ts";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { Tx } from "../db/store.ts";
import type { Factor } from "../factors/factor.ts";
import { factors } from "../factors/index.ts";
import { ticketRepository } from "../protection/tickets.repository.ts";
import { trustedDeviceRepository } from "../trusted-devices/trusted-devices.repository.ts";
import { userRepository } from "../users/users.repository.ts";

/** What an administrator wants taken from a user: everything, one kind, or one instance of it. */
export interface Reset {
  readonly rpc: "ResetUserMfa" | "ResetUserFactor";
  /** Empty for every kind. */
  readonly factorType: Factor["type"] | "";
  /** Empty for all of the kind. */
  readonly factorId: string;
  /** How long the user cannot enrol anew. */
  readonly coolDownMs: number;
}

/** How many of one thing were removed. */
export interface Removal {
  readonly kind: string;
  readonly count: number;
}

/** What a reset removed. */
export interface Receipt {
  readonly removed: readonly Removal[];
  readonly mfaEpoch: number;
  readonly resetTime: Date;
  /** Null without a cool-down. */
  readonly coolDownUntil: Date | null;
}

/** How a receipt calls the instances of a kind. */
const kinds: Readonly<Record<Factor["type"], string>> = {
  WEBAUTHN: "webauthn_credentials",
  PUSH: "push_devices",
  TOTP: "totp_devices",
  SMS: "phone_numbers",
  EMAIL: "email_addresses",
  BACKUP_CODE: "backup_codes",
  TEMPORARY_PASS: "temporary_passes",
};

async function removeFactors(tx: Tx, owner: Owner, { factorType, factorId }: Reset, now: Date): Promise<Removal[]> {
  const removed: Removal[] = [];
  for (const factor of factors) {
    if (factorType !== "" && factor.type !== factorType) continue;
    const count = await (factorId === "" ? factor.forget(tx, owner, now) : factor.forgetOne(tx, owner, factorId, now));
    removed.push({ kind: kinds[factor.type], count });
  }
  return removed;
}

/** Ends what was open or trusted: nothing that a removed factor once let in stays. */
async function endTrust(tx: Tx, owner: Owner, epoch: number, now: Date): Promise<Removal[]> {
  const trusted = (await trustedDeviceRepository(tx).deleteAll(owner)).filter(
    ({ mfaEpoch, expireTime }) => mfaEpoch === epoch && expireTime > now,
  );
  const open = await challengeRepository(tx).cancelAll(owner, now);
  await ticketRepository(tx).spendAll(owner, now);
  return [
    { kind: "trusted_devices", count: trusted.length },
    { kind: "challenges", count: open.length },
  ];
}

/** The later of two moments, either of which may be none. */
const later = (a: Date | null, b: Date | null) => (a && b ? (a > b ? a : b) : (a ?? b));

/**
 * Takes factors from a user, in a unit that has serialised them under `epoch`. A user who had nothing of it keeps their
 * epoch and is told nothing; the entry is written all the same. Failures in a row stay counted: only ClearLockout ends a lock.
 */
export async function resetIn(
  tx: Tx,
  call: Call,
  owner: Owner,
  { reset, reason, epoch, approval }: { reset: Reset; reason: string; epoch: number; approval?: string },
): Promise<Receipt> {
  const { now } = call;
  const whole = reset.factorType === "";
  const taken = (await removeFactors(tx, owner, reset, now)).filter(({ count }) => count > 0);
  // What was none of the user's changes nothing about their trust.
  const ended = whole || taken.length > 0 ? await endTrust(tx, owner, epoch, now) : [];
  const removed = [...taken, ...ended.filter(({ count }) => count > 0)];
  const users = userRepository(tx);
  const known = (await users.find(owner))?.coolDownUntilTime ?? null;
  const asked = reset.coolDownMs > 0 ? new Date(now.getTime() + reset.coolDownMs) : null;
  // A second reset never lets the user in sooner than the first.
  const until = later(known, asked);
  if (asked && until) await users.coolDown(owner, until);
  const { factorType, factorId } = reset;
  const act = {
    owner,
    reason,
    action: whole ? "user.reset" : "factor.reset",
    targetId: factorId || (whole ? owner.userId : ""),
    after: {
      ...(factorType && { factorType }),
      removed: Object.fromEntries(removed.map(({ kind, count }) => [kind, count])),
      ...(asked && until && { coolDownUntil: until.toISOString() }),
      ...(approval && { approvalId: approval }),
    },
  };
  if (removed.length === 0) await recordAudit(tx, call, act);
  else if (whole) await recordChange(tx, call, { ...act, type: "USER_RESET", factorId: "" });
  else await recordChange(tx, call, { ...act, type: "FACTOR_RESET", factorType: factorType || "UNSPECIFIED" });
  const mfaEpoch = removed.length === 0 ? epoch : epoch + 1;
  return { removed, mfaEpoch, resetTime: now, coolDownUntil: until && until > now ? until : null };
}
