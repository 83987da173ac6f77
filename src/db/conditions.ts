import { and, eq, getTableColumns, gt, inArray, lte, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import type { Define } from "./dialect.ts";
import type { Building } from "./store.ts";

/** The names of a table's columns. */
type NameOf<T extends PgTable> = keyof T["$inferSelect"] & string;

/** A column that holds a V. */
export type Column<V> = PgColumn & { readonly _: { readonly data: V } };

/** A condition on rows, built with parameters. */
export type Condition<Params> = (s: Building<Params>) => SQL | undefined;

type ParamsOf<C> = C extends Condition<infer Params> ? (params: Params) => void : never;
type Every<C> = ParamsOf<C> extends (params: infer Params) => void ? Params : never;

/** Returns the column of a name, typed by the row's property of that name: the one place where the two are matched. */
export const columnOf = <V>(t: PgTable, name: string) =>
  (getTableColumns(t) as Record<string, PgColumn>)[name] as Column<V>;

/** No condition: every row. */
export const anyRow: Condition<unknown> = () => undefined;

/** Columns equal the parameters of the same names: `whereEquals(tickets, "tenantId", "userId")`. */
export const whereEquals =
  <T extends PgTable, K extends NameOf<T>>(
    define: Define<T>,
    ...names: [K, ...K[]]
  ): Condition<{ [P in K]: NonNullable<T["$inferSelect"][P]> }> =>
  (s) => {
    const t = s.table(define);
    return and(...names.map((name) => eq(columnOf(t, name), s.param(name, columnOf(t, name)))));
  };

/** A column holds one of the values. */
export const whereIn =
  <T extends PgTable, K extends NameOf<T>>(
    define: Define<T>,
    name: K,
    ...values: [T["$inferSelect"][K], ...T["$inferSelect"][K][]]
  ): Condition<unknown> =>
  (s) => {
    const column = columnOf(s.table(define), name);
    return values.length === 1 ? eq(column, values[0]) : inArray(column, values);
  };

type Expiring = PgTable & { readonly expireTime: Column<Date> };

/** Rows have not expired at `now`. */
export const isInTime =
  (define: Define<Expiring>): Condition<{ now: Date }> =>
  (s) => {
    const { expireTime } = s.table(define);
    return gt(expireTime, s.param("now", expireTime));
  };

/** Rows have expired at `now`. */
export const hasExpired =
  (define: Define<Expiring>): Condition<{ now: Date }> =>
  (s) => {
    const { expireTime } = s.table(define);
    return lte(expireTime, s.param("now", expireTime));
  };

/** All of the conditions hold. */
export const whereAll =
  <C extends Condition<never>[]>(...conditions: C): Condition<Every<C[number]>> =>
  (s) =>
    and(...conditions.map((condition) => condition(s as Building<never>)));
