import type { Owner } from "../core/caller.ts";
import type { Tx } from "../db/store.ts";
import type { Factor } from "./factor.ts";
import { totpFactor } from "./totp/totp.factor.ts";

/** Every factor the service knows, strongest first. */
export const factors: readonly Factor[] = [totpFactor];

/** Whether the user holds any second factor, from live rows. */
export async function hasFactor(tx: Tx, owner: Owner): Promise<boolean> {
  for (const factor of factors) if (await factor.isEnrolled(tx, owner)) return true;
  return false;
}
