import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { enforcedOf } from "../enforcement/enforcement.ts";
import { userRepository } from "../users/users.repository.ts";
import { backupCodesFactor } from "./backup-codes/backup-codes.factor.ts";
import type { Factor, FactorInstance, FactorSet } from "./factor.ts";
import { emailFactor, smsFactor } from "./otp/otp.factor.ts";
import { pushFactor } from "./push/push.factor.ts";
import { temporaryPassFactor } from "./temporary-pass/temporary-pass.factor.ts";
import { totpFactor } from "./totp/totp.factor.ts";
import { webauthnFactor } from "./webauthn/webauthn.factor.ts";

/** Every factor the service knows, strongest first. */
export const factors: readonly Factor[] = [
  webauthnFactor,
  pushFactor,
  totpFactor,
  smsFactor,
  emailFactor,
  backupCodesFactor,
  temporaryPassFactor,
];

/** Whether the user holds any second factor that counts, from live rows. */
export async function hasFactor(tx: Tx, owner: Owner): Promise<boolean> {
  for (const factor of factors) if (factor.counts && (await factor.isEnrolled(tx, owner))) return true;
  return false;
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

/** The first choice among what a user holds: theirs while it is active, else the strongest that counts, else any. */
export function primaryAmong(held: readonly Held[], chosen: string | undefined): Held | undefined {
  const active = held.filter(({ state }) => state === "ACTIVE");
  return active.find(({ factorId }) => factorId === chosen) ?? active.find(({ factor }) => factor.counts) ?? active[0];
}

/** What single kinds may know of the user's other factors. */
export const factorSet: FactorSet = {
  async guardLast(tx, owner, confirmed, now) {
    if (await hasFactor(tx, owner)) return;
    const { enforced } = await enforcedOf(tx, owner, now);
    if (enforced) throw new Refusal("LAST_FACTOR", { metadata: { required: "true" } });
    if (!confirmed) throw new Refusal("LAST_FACTOR");
  },
  async primaryOf(tx, owner, now) {
    const user = await userRepository(tx).find(owner);
    return primaryAmong(await listHeld(tx, owner, now), user?.primaryFactorId)?.factorId;
  },
};

export { openMetadata } from "./webauthn/metadata.ts";
