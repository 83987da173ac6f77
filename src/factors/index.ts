import { recordUpdate } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { enforcedOf } from "../enforcement/enforcement.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { backupCodesFactor } from "./backup-codes/backup-codes.factor.ts";
import type { Factor, FactorInstance, FactorSet, FactorTypeName } from "./factor.ts";
import { emailFactor, smsFactor } from "./otp/otp.factor.ts";
import { pushFactor } from "./push/push.factor.ts";
import { isUsable } from "./strength.ts";
import { temporaryPassFactor } from "./temporary-pass/temporary-pass.factor.ts";
import { totpFactor } from "./totp/totp.factor.ts";
import { webauthnFactor } from "./webauthn/webauthn.factor.ts";

/** The registry: a kind of the contract that is missing here does not compile. Strongest first. */
const registry = {
  WEBAUTHN: webauthnFactor,
  PUSH: pushFactor,
  TOTP: totpFactor,
  SMS: smsFactor,
  EMAIL: emailFactor,
  BACKUP_CODE: backupCodesFactor,
  TEMPORARY_PASS: temporaryPassFactor,
} satisfies { readonly [T in FactorTypeName]: Factor<T> };

/** Every factor the service knows, strongest first. */
export const factors: readonly Factor[] = Object.values(registry);

/** The factor of a kind. */
export const factorOf = (type: FactorTypeName): Factor => registry[type];

/** Whether the user holds any second factor that counts, from live rows. */
export async function hasFactor(tx: Tx, owner: Owner): Promise<boolean> {
  for (const factor of factors) if (factor.counts && (await factor.isEnrolled(tx, owner))) return true;
  return false;
}

/**
 * Ends a user's backup codes where no factor that counts is left, in the unit that took the last: they would else be the
 * only factor, by which whoever finds the sheet is let in. Returns how many there were, as receipts state them.
 */
export async function endBackupCodes(
  tx: Tx,
  call: Call,
  owner: Owner,
  type: "FACTOR_REMOVED" | "FACTOR_RESET",
): Promise<{ readonly kind: string; readonly count: number }> {
  const { type: factorType, receiptKind: kind } = backupCodesFactor;
  if (await hasFactor(tx, owner)) return { kind, count: 0 };
  const count = await backupCodesFactor.forget(tx, owner, call.now);
  if (count === 0) return { kind, count };
  const change = { owner, factorType, targetId: "", after: { factorType, deleted: count } };
  // The epoch grows with the factor that they end with.
  await recordUpdate(tx, call, { ...change, type, action: "backup_codes.ended" });
  return { kind, count };
}

/** An instance and its kind. */
export interface Held extends FactorInstance {
  readonly factor: Factor;
}

/** Everything the user holds, strongest kind first, then oldest first. */
export async function listHeld(tx: Tx, owner: Owner, now: Date): Promise<Held[]> {
  const held: Held[] = [];
  for (const factor of factors) {
    for (const instance of await factor.list(tx, owner, now)) held.push({ ...instance, factor });
  }
  return held;
}

/**
 * The kinds that a user who holds these can enroll: those that the tenant lets its users have, and of which there is room.
 * Who has no active factor can neither enable nor delete what is disabled, so that gives way.
 */
export function enrollableBy(held: readonly Held[], settings: EffectiveSettings): Factor[] {
  const hasActive = held.some(({ factor, state }) => factor.counts && state === "ACTIVE");
  const taken = held.filter(({ state }) => state === "ACTIVE" || (hasActive && state === "DISABLED"));
  return factors.filter((factor) => {
    const count = taken.filter((one) => one.factor === factor).length;
    return factor.isEnrollable(settings) && count < (factor.limitOf?.(settings) ?? Number.POSITIVE_INFINITY);
  });
}

/** The first choice among what a user holds: theirs while it is active, else the strongest that counts, else any. */
export function primaryAmong(held: readonly Held[], chosen: string | undefined): Held | undefined {
  const active = held.filter(({ state }) => state === "ACTIVE");
  return active.find(({ factorId }) => factorId === chosen) ?? active.find(({ factor }) => factor.counts) ?? active[0];
}

/** Reads the settings of a tenant as the unit sees them. */
export type SettingsIn = (tx: Tx, tenantId: string) => Promise<EffectiveSettings>;

/** What single kinds may know of the user's other factors. */
export const createFactorSet = (settingsIn: SettingsIn): FactorSet => ({
  hasFactor,
  async guardLast(tx, call, owner, confirmed) {
    const settings = await settingsIn(tx, owner.tenantId);
    const held = await listHeld(tx, owner, call.now);
    // A factor that the tenant's settings refuse lets nobody in.
    if (held.some((one) => one.factor.counts && isUsable(one, settings))) return;
    const { enforced } = await enforcedOf(tx, owner, call.now);
    if (enforced) throw new Refusal("LAST_FACTOR", { metadata: { required: "true" } });
    if (!confirmed) throw new Refusal("LAST_FACTOR");
    await endBackupCodes(tx, call, owner, "FACTOR_REMOVED");
  },
  async primaryOf(tx, owner, now) {
    const user = await userRepository(tx).find(owner);
    return primaryAmong(await listHeld(tx, owner, now), user?.primaryFactorId)?.factorId;
  },
});

export { openMetadata } from "./webauthn/metadata.ts";
