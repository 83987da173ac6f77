import { asc, lt } from "drizzle-orm";
import { type Building, statement, type Tx } from "../db/store.ts";
import { assertionKeys } from "./assertion-keys.table.ts";

/** A signing key as it is stored. */
export type AssertionKeyRow = ReturnType<typeof assertionKeys>["$inferSelect"];

const statements = {
  list: statement((s: Building<Record<never, never>>) => {
    const t = s.table(assertionKeys);
    return s.db.select().from(t).orderBy(asc(t.sequence));
  }),
  insert: statement((s: Building<AssertionKeyRow>) => {
    const t = s.table(assertionKeys);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning({ sequence: t.sequence });
  }),
  deleteBefore: statement((s: Building<{ sequence: number }>) => {
    const t = s.table(assertionKeys);
    return s.db
      .delete(t)
      .where(lt(t.sequence, s.param("sequence", t.sequence)))
      .returning({ sequence: t.sequence });
  }),
};

/** The installation's signing keys; few. */
export const assertionKeyRepository = (tx: Tx) => ({
  /** Oldest first. */
  list: () => tx.run(statements.list, {}),
  /** Adds a key unless there is one of its sequence: of two instances one wins, and both read the winner's. */
  insert: (row: AssertionKeyRow) => tx.run(statements.insert, row),
  /** Forgets the keys older than one, private halves and all. */
  deleteBefore: (sequence: number) => tx.run(statements.deleteBefore, { sequence }),
});
