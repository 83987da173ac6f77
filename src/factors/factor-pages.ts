import { type Position, slice } from "../db/page.ts";
import { factors, type Held } from "./index.ts";

/**
 * A page of what a user holds: the strongest kind first, then the oldest. They come from many tables, so the place of
 * one is the rank of its kind, where lists of one table have a time, and its id, which grows with creation.
 */
export function factorPageOf(held: readonly Held[], { time, id }: Position, size: number) {
  const placed = held.map((one) => ({ one, rank: factors.indexOf(one.factor) + 1 }));
  const behind = placed
    .filter(({ one, rank }) => rank > time.getTime() || (rank === time.getTime() && one.factorId > id))
    .sort((a, b) => a.rank - b.rank || (a.one.factorId < b.one.factorId ? -1 : 1));
  const { rows, next } = slice(behind.slice(0, size + 1), size, ({ one, rank }) => ({
    time: new Date(rank),
    id: one.factorId,
  }));
  return { rows: rows.map(({ one }) => one), ...(next && { next }) };
}
