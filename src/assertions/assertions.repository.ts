import { and, eq, gt, isNull, lte } from "drizzle-orm";
import type { RowOf } from "../db/bound-rows.ts";
import { isOwnedBy } from "../db/owned.ts";
import { insert, select } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { assertions } from "./assertions.table.ts";

/** An assertion as it is stored. */
export type AssertionRow = RowOf<typeof assertions>;
type Key = Owner & { assertionId: string };

const isOwners = (s: Building<Owner>) => isOwnedBy(s, s.table(assertions));

const isThis = (s: Building<Key>) => {
  const t = s.table(assertions);
  return and(isOwners(s), eq(t.assertionId, s.param("assertionId", t.assertionId)));
};

const isUnexpired = (s: Building<Key & { now: Date }>) => {
  const t = s.table(assertions);
  return and(isThis(s), gt(t.expireTime, s.param("now", t.expireTime)));
};

const statements = {
  insert: insert(assertions),
  findUnexpired: select(assertions, isUnexpired),
  giveBack: statement((s: Building<Key>) => {
    const t = s.table(assertions);
    return s.db.update(t).set({ consumeTime: null }).where(isThis(s)).returning({ assertionId: t.assertionId });
  }),
  consume: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(assertions);
    return s.db
      .update(t)
      .set({ consumeTime: s.param("now", t.consumeTime) })
      .where(and(isUnexpired(s), isNull(t.consumeTime)))
      .returning({ assertionId: t.assertionId });
  }),
  deleteExpired: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(assertions);
    return s.db
      .delete(t)
      .where(and(isOwners(s), lte(t.expireTime, s.param("now", t.expireTime))))
      .returning({ assertionId: t.assertionId });
  }),
};

/** The assertions that were given out. */
export const assertionRepository = (tx: Tx) => ({
  insert: (row: AssertionRow) => tx.run(statements.insert, row),
  /** One that has not expired, consumed or not. */
  findUnexpired: async (key: Key, now: Date) => (await tx.run(statements.findUnexpired, { ...key, now }))[0],
  /** Uses one up: true for exactly one of any number of callers. */
  consume: async (key: Key, now: Date) => (await tx.run(statements.consume, { ...key, now })).length === 1,
  /** Makes one good again that was consumed. */
  giveBack: (key: Key) => tx.run(statements.giveBack, key),
  deleteExpired: (owner: Owner, now: Date) => tx.run(statements.deleteExpired, { ...owner, now }),
});
