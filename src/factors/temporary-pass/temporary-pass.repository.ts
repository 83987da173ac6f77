import { and, eq, gt, isNull, lte } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { isOwnedBy } from "../../db/owned.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { temporaryPasses } from "./temporary-pass.table.ts";

/** A row of the table. */
export type TemporaryPassRow = ReturnType<typeof temporaryPasses>["$inferSelect"];

const isOwners = (s: Building<Owner>) => isOwnedBy(s, s.table(temporaryPasses));

const statements = {
  find: statement((s: Building<Owner>) => s.db.select().from(s.table(temporaryPasses)).where(isOwners(s))),
  insert: statement((s: Building<TemporaryPassRow>) => {
    const t = s.table(temporaryPasses);
    return s.db.insert(t).values(s.row(t)).returning({ passId: t.passId });
  }),
  spend: statement((s: Building<Owner & { passId: string; now: Date }>) => {
    const t = s.table(temporaryPasses);
    return s.db
      .update(t)
      .set({ useTime: s.param("now", t.useTime) })
      .where(
        and(
          isOwners(s),
          eq(t.passId, s.param("passId", t.passId)),
          isNull(t.useTime),
          lte(t.startTime, s.param("now", t.startTime)),
          gt(t.expireTime, s.param("now", t.expireTime)),
        ),
      )
      .returning({ passId: t.passId });
  }),
  delete: statement((s: Building<Owner>) => {
    const t = s.table(temporaryPasses);
    return s.db.delete(t).where(isOwners(s)).returning({ passId: t.passId });
  }),
  deleteUnused: statement((s: Building<Owner>) => {
    const t = s.table(temporaryPasses);
    return s.db
      .delete(t)
      .where(and(isOwners(s), isNull(t.useTime)))
      .returning({ passId: t.passId, expireTime: t.expireTime });
  }),
};

/** Users' temporary passes. A unit that writes serialises the user first. */
export const temporaryPassRepository = (tx: Tx) => ({
  find: async (owner: Owner) => (await tx.run(statements.find, owner))[0],
  insert: (row: TemporaryPassRow) => tx.run(statements.insert, row),
  /** Spends a pass within its time: true for exactly one of any number of callers. */
  spend: async (key: Owner & { passId: string }, now: Date) =>
    (await tx.run(statements.spend, { ...key, now })).length === 1,
  delete: (owner: Owner) => tx.run(statements.delete, owner),
  /** Deletes the pass unless it is spent, and answers what it was. */
  deleteUnused: async (owner: Owner) => (await tx.run(statements.deleteUnused, owner))[0],
});
