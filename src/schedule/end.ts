import type { AnyTable, Define } from "../db/dialect.ts";
import { deleteEnded } from "../db/ended.ts";
import type { Store, Tx } from "../db/store.ts";

/** Rows of a table that are forgotten some time after their end. */
export interface End {
  readonly table: Define;
  /** How long rows stay after their end, for whoever still asks what became of them. */
  readonly keptMs: number;
  /** Forgets some rows whose end is not after `before`, `limit` at most; answers how many. */
  forget(tx: Tx, before: Date, limit: number): Promise<number>;
}

/** Rows that a task looks at in one unit. */
export const BATCH = 200;

/** Rows that end at the time in a column of theirs; those without one never do. */
export function rowsOf<T extends AnyTable>(
  table: Define<T>,
  column: keyof T["$inferSelect"] & string,
  keptMs = 0,
): End {
  const statement = deleteEnded(table, column);
  return { table, keptMs, forget: async (tx, before, limit) => (await tx.run(statement, { before, limit })).length };
}

/** Forgets whatever has ended, unit by unit; answers how many rows. */
export async function forgetEnded(store: Store, ends: readonly End[], now: Date): Promise<number> {
  let count = 0;
  for (const { keptMs, forget } of ends) {
    const before = new Date(now.getTime() - keptMs);
    for (let last = BATCH; last >= BATCH; ) {
      last = await store.write((tx) => forget(tx, before, BATCH));
      count += last;
    }
  }
  return count;
}
