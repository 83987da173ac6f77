import { type Column, type SQL, sql } from "drizzle-orm";
import type { Building } from "./store.ts";

/** The position after a page: the last row's creation time, and its id, since times may be equal. */
export interface Position {
  readonly time: Date;
  readonly id: string;
}

/** Before every row. */
export const START: Position = { time: new Date(0), id: "" };

/** The parameters of a paged statement, besides its own. */
export type PageParams = { afterTime: Date; afterId: string; limit: number };

/** The parameters for one page: one row more than asked for tells whether there is a next. */
export const pageParams = (position: Position, size: number): PageParams => ({
  afterTime: position.time,
  afterId: position.id,
  limit: size + 1,
});

/** A column that holds a T, as `Building.param` wants it. */
type Holding<T> = Column & { readonly _: { readonly data: T } };

/**
 * The rows behind a position. Goes with `.orderBy(time, id).limit(s.limit("limit"))` and `pageParams`; comparing both
 * columns at once lets an index on them find the place.
 */
export const after = (s: Building<PageParams>, time: Holding<Date>, id: Holding<string>): SQL =>
  sql`(${time}, ${id}) > (${s.param("afterTime", time)}, ${s.param("afterId", id)})`;

/** Behind every row: where a list begins that has its newest first. */
const END: Position = { time: new Date("9999-12-31T00:00:00.000Z"), id: "~" };

/** As `pageParams`, for lists that have their newest first. */
export const pagedBack = (position: Position, size: number): PageParams =>
  pageParams(position.id === START.id ? END : position, size);

/** As `after`, for lists that have their newest first: goes with `.orderBy(desc(time), desc(id))` and `pagedBack`. */
export const before = (s: Building<PageParams>, time: Holding<Date>, id: Holding<string>): SQL =>
  sql`(${time}, ${id}) < (${s.param("afterTime", time)}, ${s.param("afterId", id)})`;

/** Cuts the fetched rows to the page; `next` is where the following one begins, if there is one. */
export function slice<Row>(
  fetched: readonly Row[],
  size: number,
  positionOf: (row: Row) => Position,
): { rows: Row[]; next?: Position } {
  const rows = fetched.slice(0, size);
  const last = rows.at(-1);
  return fetched.length > size && last !== undefined ? { rows, next: positionOf(last) } : { rows };
}

/** The page behind a position, of rows that are all at hand, in the order of their positions. */
export function pageOf<Row>(all: readonly Row[], position: Position, size: number, positionOf: (row: Row) => Position) {
  const isBehind = (row: Row) => {
    const { time, id } = positionOf(row);
    return time > position.time || (time.getTime() === position.time.getTime() && id > position.id);
  };
  return slice(all.filter(isBehind).slice(0, size + 1), size, positionOf);
}
