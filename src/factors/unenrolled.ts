import type { Store } from "../db/store.ts";
import { userRepository } from "../users/users.repository.ts";
import { factors } from "./index.ts";

/** Users that one unit looks at: others must not wait. */
const WINDOW = 500;
/** Users that are looked at in all. */
const MOST = 1_000;

/** How many of the users that are known at `now` have no factor that counts; of the first thousand. */
export async function countUnenrolled(store: Store, tenantId: string, now: Date): Promise<number> {
  let unenrolled = 0;
  let after = "";
  for (let seen = 0; seen < MOST; seen += WINDOW) {
    const found = await store.read(async (tx) => {
      const userIds = await userRepository(tx).list(tenantId, after, WINDOW);
      const span = { tenantId, after, through: userIds.at(-1) ?? "" };
      const enrolled = new Set<string>();
      for (const factor of factors) {
        if (!factor.counts) continue;
        for (const { userId } of await factor.listHoldings(tx, span, now)) enrolled.add(userId);
      }
      return { userIds, without: userIds.filter((userId) => !enrolled.has(userId)).length };
    });
    unenrolled += found.without;
    const last = found.userIds.at(-1);
    if (last === undefined || found.userIds.length < WINDOW) break;
    after = last;
  }
  return unenrolled;
}
