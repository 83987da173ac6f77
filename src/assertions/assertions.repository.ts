import { and, eq, gt, isNull, lte } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { isOwnedBy } from "../db/owned.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { assertions } from "./assertions.table.ts";

/** An assertion as it is stored. */
export type AssertionRow = ReturnType<typeof assertions>["$inferSelect"];
type Key = Owner & { assertionId: string };

const isOwners = (s: Building<Owner>) => isOwnedBy(s, s.table(assertions));

const isOpen = (s: Building<Key & { now: Date }>) => {
  const t = s.table(assertions);
  const isThis = and(isOwners(s), eq(t.assertionId, s.param("assertionId", t.assertionId)));
  return and(isThis, isNull(t.consumeTime), gt(t.expireTime, s.param("now", t.expireTime)));
};

const statements = {
  insert: statement((s: Building<AssertionRow>) => {
    const t = s.table(assertions);
    return s.db.insert(t).values(s.row(t)).returning({ assertionId: t.assertionId });
  }),
  findOpen: statement((s: Building<Key & { now: Date }>) => s.db.select().from(s.table(assertions)).where(isOpen(s))),
  consume: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(assertions);
    return s.db
      .update(t)
      .set({ consumeTime: s.param("now", t.consumeTime) })
      .where(isOpen(s))
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
  /** One that was neither consumed nor has expired. */
  findOpen: async (key: Key, now: Date) => (await tx.run(statements.findOpen, { ...key, now }))[0],
  /** Uses one up: true for exactly one of any number of callers. */
  consume: async (key: Key, now: Date) => (await tx.run(statements.consume, { ...key, now })).length === 1,
  deleteExpired: (owner: Owner, now: Date) => tx.run(statements.deleteExpired, { ...owner, now }),
});
