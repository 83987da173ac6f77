import { and, gt, isNull, lte } from "drizzle-orm";
import type { RowOf } from "../../db/bound-rows.ts";
import { whereAll, whereEquals } from "../../db/conditions.ts";
import { deleteRows, insert, select } from "../../db/rows.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { temporaryPasses } from "./temporary-pass.table.ts";

/** A row of the table. */
export type TemporaryPassRow = RowOf<typeof temporaryPasses>;

const isOwners = whereEquals(temporaryPasses, "tenantId", "userId");

const isUnused = (s: Building<unknown>) => isNull(s.table(temporaryPasses).useTime);

const isInTime = (s: Building<{ now: Date }>) => {
  const t = s.table(temporaryPasses);
  return and(lte(t.startTime, s.param("now", t.startTime)), gt(t.expireTime, s.param("now", t.expireTime)));
};

const statements = {
  find: select(temporaryPasses, isOwners),
  insert: insert(temporaryPasses),
  spend: statement((s: Building<Owner & { passId: string; now: Date }>) => {
    const t = s.table(temporaryPasses);
    return s.db
      .update(t)
      .set({ useTime: s.param("now", t.useTime) })
      .where(whereAll(whereEquals(temporaryPasses, "tenantId", "userId", "passId"), isUnused, isInTime)(s))
      .returning({ passId: t.passId });
  }),
  delete: deleteRows(temporaryPasses, isOwners),
  deleteUnused: deleteRows(temporaryPasses, whereAll(isOwners, isUnused)),
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
