import { recordAudit, recordChange } from "../audit/changes.ts";
import { endLogIns, endWhatIsOpen } from "../challenges/open-things.ts";
import type { Call } from "../core/call.ts";
import type { Owner, Tx } from "../db/store.ts";
import type { Factor } from "../factors/factor.ts";
import { endBackupCodes, factors } from "../factors/index.ts";
import { trustedDeviceRepository } from "../trusted-devices/trusted-devices.repository.ts";
import { userRepository } from "../users/users.repository.ts";

/** The scope of a reset: all factors, one kind, or one instance. */
export interface Reset {
  readonly rpc: "ResetUserMfa" | "ResetUserFactor";
  /** Empty for every kind. */
  readonly factorType: Factor["type"] | "";
  /** Empty for all of the kind. */
  readonly factorId: string;
  /** The cool-down before the user can enroll again. */
  readonly coolDownMs: number;
}

/** How many of one thing were removed. */
export interface Removal {
  readonly kind: string;
  readonly count: number;
}

/** The receipt of a reset. */
export interface ResetResult {
  readonly removed: readonly Removal[];
  readonly mfaEpoch: number;
  readonly resetTime: Date;
  /** Null without a cool-down. */
  readonly coolDownUntil: Date | null;
}

async function removeFactors(tx: Tx, owner: Owner, { factorType, factorId }: Reset, now: Date): Promise<Removal[]> {
  const removed: Removal[] = [];
  for (const factor of factors) {
    if (factorType !== "" && factor.type !== factorType) continue;
    const count = await (factorId === "" ? factor.forget(tx, owner, now) : factor.forgetOne(tx, owner, factorId, now));
    removed.push({ kind: factor.receiptKind, count });
  }
  return removed;
}

/** Ends open challenges and trust, so that nothing obtained by a removed factor stays. */
async function endTrust(
  tx: Tx,
  owner: Owner,
  { epoch, whole, now }: { epoch: number; whole: boolean; now: Date },
): Promise<Removal[]> {
  const trusted = (await trustedDeviceRepository(tx).deleteAll(owner)).filter(
    ({ mfaEpoch, expireTime }) => mfaEpoch === epoch && expireTime > now,
  );
  const open = await (whole ? endWhatIsOpen : endLogIns)(tx, owner, now);
  return [
    { kind: "trusted_devices", count: trusted.length },
    { kind: "challenges", count: open },
  ];
}

/** Returns the later of two times, either of which may be null. */
const later = (a: Date | null, b: Date | null) => (a && b ? (a > b ? a : b) : (a ?? b));

/**
 * Removes factors from a user, in a unit that has locked the user's row at `epoch`. Where nothing was removed the epoch
 * stays and no notice is sent; the audit entry is written in any case. Failures in a row stay counted: only
 * ClearLockout ends a lock.
 */
export async function resetIn(
  tx: Tx,
  call: Call,
  owner: Owner,
  { reset, reason, epoch, approval }: { reset: Reset; reason: string; epoch: number; approval?: string },
): Promise<ResetResult> {
  const { now } = call;
  const whole = reset.factorType === "";
  const asked = (await removeFactors(tx, owner, reset, now)).filter(({ count }) => count > 0);
  // Backup codes end with the last factor that counts, also where only that factor was removed.
  const codes = asked.length > 0 ? await endBackupCodes(tx, call, owner, "FACTOR_RESET") : undefined;
  const taken = codes && codes.count > 0 ? [...asked, codes] : asked;
  // Where nothing was removed, trust stays.
  const ended = whole || taken.length > 0 ? await endTrust(tx, owner, { epoch, whole, now }) : [];
  const removed = [...taken, ...ended.filter(({ count }) => count > 0)];
  const users = userRepository(tx);
  const known = (await users.find(owner))?.coolDownUntilTime ?? null;
  const coolDown = reset.coolDownMs > 0 ? new Date(now.getTime() + reset.coolDownMs) : null;
  // A second reset never shortens the cool-down of the first.
  const until = later(known, coolDown);
  if (coolDown && until) await users.coolDown(owner, until);
  const { factorType, factorId } = reset;
  const act = {
    owner,
    reason,
    action: whole ? "user.reset" : "factor.reset",
    targetId: factorId || (whole ? owner.userId : ""),
    after: {
      ...(factorType && { factorType }),
      removed: Object.fromEntries(removed.map(({ kind, count }) => [kind, count])),
      ...(coolDown && until && { coolDownUntil: until.toISOString() }),
      ...(approval && { approvalId: approval }),
    },
  };
  if (removed.length === 0) await recordAudit(tx, call, act);
  else if (whole) await recordChange(tx, call, { ...act, type: "USER_RESET", factorId: "" });
  else await recordChange(tx, call, { ...act, type: "FACTOR_RESET", factorType: factorType || "UNSPECIFIED" });
  const mfaEpoch = removed.length === 0 ? epoch : epoch + 1;
  return { removed, mfaEpoch, resetTime: now, coolDownUntil: until && until > now ? until : null };
}
