import type { AnyTable, Define } from "../db/dialect.ts";
import { deleteEnded } from "../db/ended.ts";
import type { Store, Tx } from "../db/store.ts";

/** A retention rule: rows of a table are deleted some time after their end. */
export interface RetentionRule {
  readonly table: Define;
  /** How long rows stay after their end, so that late callers get a precise refusal. */
  readonly keptMs: number;
  /** Deletes at most `limit` rows whose end is not after `before`; returns how many. */
  deleteExpired(tx: Tx, before: Date, limit: number): Promise<number>;
}

/** Rows deleted in one unit. */
export const BATCH = 200;

/** A rule for rows that end at the time in a column; rows with null there never end. */
export function expiringRows<T extends AnyTable>(
  table: Define<T>,
  column: keyof T["$inferSelect"] & string,
  keptMs = 0,
): RetentionRule {
  const statement = deleteEnded(table, column);
  return {
    table,
    keptMs,
    deleteExpired: async (tx, before, limit) => (await tx.run(statement, { before, limit })).length,
  };
}

/** Applies rules unit by unit; returns the number of deleted rows. */
export async function applyRetention(store: Store, ends: readonly RetentionRule[], now: Date): Promise<number> {
  let count = 0;
  for (const { keptMs, deleteExpired } of ends) {
    const before = new Date(now.getTime() - keptMs);
    for (let last = BATCH; last >= BATCH; ) {
      last = await store.write((tx) => deleteExpired(tx, before, BATCH));
      count += last;
    }
  }
  return count;
}
