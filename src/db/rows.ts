import { and, asc, desc, type SQL, sql } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import { type MacColumn, reading, writing } from "./bound-rows.ts";
import { type Condition, columnOf } from "./conditions.ts";
import type { Define } from "./dialect.ts";
import { after, before, type PageParams, type Position, pagedBack, pageParams, slice } from "./page.ts";
import { type Building, type Statement, statement, type Tx } from "./store.ts";

type Row<T extends PgTable> = Omit<T["$inferSelect"], MacColumn>;
/** The names of the columns that hold a V. */
type Holding<T extends PgTable, V> = {
  [K in keyof Row<T> & string]: Row<T>[K] extends V ? K : never;
}[keyof Row<T> & string];

/** The columns that order rows, oldest first by default. */
export interface Order<T extends PgTable> {
  readonly time: Holding<T, Date>;
  readonly id: Holding<T, string>;
  readonly newestFirst?: boolean;
}

const inOrder = <T extends PgTable>(t: PgTable, { time, id, newestFirst }: Order<T>) =>
  [columnOf(t, time), columnOf(t, id)].map((column) => (newestFirst ? desc(column) : asc(column)));

/** Selects whole rows that meet a condition, ordered only if an order is given. MACs of bound rows are verified. */
export const select = <T extends PgTable, Params>(
  define: Define<T>,
  condition: Condition<Params>,
  order?: Order<T>,
): Statement<Params, Row<T>> =>
  reading(
    define,
    statement((s: Building<Params>) => {
      const t: PgTable = s.table(define);
      const found = s.db.select().from(t).where(condition(s));
      return (order ? found.orderBy(...inOrder(t, order)) : found) as PromiseLike<Row<T>[]>;
    }),
  );

/** The requested page. */
export interface PageAsked {
  readonly position: Position;
  readonly size: number;
}

/** Selects a page of the rows that meet a condition. MACs are verified only on request: most pages are for display. */
export function selectPage<T extends PgTable, Params extends object>(
  define: Define<T>,
  condition: Condition<Params>,
  order: Order<T>,
  { checked = false }: { readonly checked?: boolean } = {},
) {
  const behind = order.newestFirst ? before : after;
  const plain = statement((s: Building<Params & PageParams>) => {
    const t: PgTable = s.table(define);
    return s.db
      .select()
      .from(t)
      .where(
        and(condition(s as Building<Params>), behind(s, columnOf<Date>(t, order.time), columnOf<string>(t, order.id))),
      )
      .orderBy(...inOrder(t, order))
      .limit(s.limit("limit")) as PromiseLike<Row<T>[]>;
  });
  const found = checked ? reading(define, plain) : plain;
  const paramsOf = order.newestFirst ? pagedBack : pageParams;
  const positionOf = (row: Row<T>) => ({ time: row[order.time] as Date, id: row[order.id] as string });
  return async (tx: Tx, params: Params, { position, size }: PageAsked) =>
    slice(await tx.run(found, { ...params, ...paramsOf(position, size) }), size, positionOf);
}

/** Inserts a row; a duplicate key fails the unit. */
export const insert = <T extends PgTable>(define: Define<T>): Statement<Row<T>, unknown> =>
  writing(
    define,
    statement((s: Building<Row<T>>) => {
      const t = s.table(define);
      return s.db.insert(t).values(s.row(t)).returning({ one: sql`1` });
    }),
  );

/** Inserts a row unless a unique key of it exists already; then no row is returned. */
export const insertIfNew = <T extends PgTable>(define: Define<T>): Statement<Row<T>, unknown> =>
  writing(
    define,
    statement((s: Building<Row<T>>) => {
      const t = s.table(define);
      return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning({ one: sql`1` });
    }),
  );

/** Deletes the rows that meet a condition and returns them, without verifying MACs. */
export const deleteRows = <T extends PgTable, Params>(
  define: Define<T>,
  condition: Condition<Params>,
): Statement<Params, Row<T>> =>
  statement((s: Building<Params>) => {
    const t: PgTable = s.table(define);
    const isMeant = condition(s);
    // Without a condition it would delete every row.
    if (!isMeant) throw new Error("A deletion without a condition");
    return s.db.delete(t).where(isMeant).returning() as PromiseLike<Row<T>[]>;
  });

/** Sets columns to the parameters of the same names: `.set({ ...setParams(s, t, "version", "updateTime") })`. */
export const setParams = <T extends PgTable, Params, K extends keyof T["$inferSelect"] & keyof Params & string>(
  s: Building<Params>,
  t: T,
  ...names: [K, ...K[]]
) => Object.fromEntries(names.map((name) => [name, s.param(name, columnOf(t, name))])) as Record<K, SQL>;
