import type { Store } from "../db/store.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Factor, Holding } from "./factor.ts";
import { factors } from "./index.ts";
import { canBeWorth, type Strength } from "./strength.ts";

/** Users that one unit looks at: others must not wait. */
const WINDOW = 500;
/** Users that are looked at in all. */
const MOST = 1_000;

/** An active instance and its kind. */
export type HeldKind = Omit<Holding, "userId"> & { readonly factor: Factor };

/** Whether a user is to be counted who holds these. */
export type CountsUser = (held: readonly HeldKind[]) => boolean;

/** How many of the users that are known at `now` each condition counts; of the first thousand. */
export async function countUsers<Name extends string>(
  store: Store,
  tenantId: string,
  now: Date,
  conditions: Readonly<Record<Name, CountsUser>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(conditions) as Name[]; // the keys of that record
  const counts = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
  let after = "";
  for (let seen = 0; seen < MOST; seen += WINDOW) {
    const { userIds, held } = await store.read(async (tx) => {
      const ids = await userRepository(tx).list(tenantId, after, WINDOW);
      const span = { tenantId, after, through: ids.at(-1) ?? "" };
      const users = new Map<string, HeldKind[]>();
      for (const factor of factors) {
        for (const { userId, ...holding } of await factor.listHoldings(tx, span, now)) {
          const own = users.get(userId) ?? [];
          own.push({ ...holding, factor });
          users.set(userId, own);
        }
      }
      return { userIds: ids, held: users };
    });
    for (const userId of userIds) {
      for (const name of names) if (conditions[name](held.get(userId) ?? [])) counts[name] += 1;
    }
    const last = userIds.at(-1);
    if (last === undefined || userIds.length < WINDOW) break;
    after = last;
  }
  return counts;
}

/** Whether an instance could be proved under the tenant's settings. */
const isUsableUnder =
  (settings: EffectiveSettings) =>
  ({ factor, remainingUses, refusedBy }: HeldKind): boolean =>
    remainingUses !== 0 && factor.isOn(settings) && refusedBy?.(settings) === undefined;

/** What of a user's factors could be proved under the tenant's settings. */
export const usableUnder = (held: readonly HeldKind[], settings: EffectiveSettings): HeldKind[] =>
  held.filter(isUsableUnder(settings));

/** Whether a user holds a factor that counts and whose proofs are worth this, under the tenant's settings. */
export const canMeet = (held: readonly HeldKind[], settings: EffectiveSettings, strength: Strength): boolean =>
  usableUnder(held, settings).some(
    ({ factor, deviceBound }) =>
      factor.counts && canBeWorth(factor, strength) && (strength !== "DEVICE_BOUND" || deviceBound === true),
  );
