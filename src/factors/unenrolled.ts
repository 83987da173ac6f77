import type { Store } from "../db/store.ts";
import { userRepository } from "../users/users.repository.ts";
import { hasFactor } from "./index.ts";

/** Users that one unit looks at: others must not wait. */
const WINDOW = 50;
/** Users that are looked at in all. */
const MOST = 1_000;

/** How many of the users that are known have no factor that counts; of the first thousand. */
export async function countUnenrolled(store: Store, tenantId: string): Promise<number> {
  let unenrolled = 0;
  let after = "";
  for (let seen = 0; seen < MOST; seen += WINDOW) {
    const found = await store.read(async (tx) => {
      const userIds = await userRepository(tx).list(tenantId, after, WINDOW);
      let without = 0;
      for (const userId of userIds) if (!(await hasFactor(tx, { tenantId, userId }))) without += 1;
      return { userIds, without };
    });
    unenrolled += found.without;
    const last = found.userIds.at(-1);
    if (last === undefined || found.userIds.length < WINDOW) break;
    after = last;
  }
  return unenrolled;
}
