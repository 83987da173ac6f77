import { and, eq, getTableColumns, gt, inArray, lte, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import type { Define } from "./dialect.ts";
import type { Building } from "./store.ts";

/** The names of what a table's rows hold. */
type NameOf<T extends PgTable> = keyof T["$inferSelect"] & string;

/** A column that holds a V. */
export type Column<V> = PgColumn & { readonly _: { readonly data: V } };

/** What is asked of rows, by parameters. */
export type Condition<Params> = (s: Building<Params>) => SQL | undefined;

type ParamsOf<C> = C extends Condition<infer Params> ? (params: Params) => void : never;
type Every<C> = ParamsOf<C> extends (params: infer Params) => void ? Params : never;

/** The column of a name that a row of the table has, and what that holds: the one place where the two are matched by name. */
export const columnOf = <V>(t: PgTable, name: string) =>
  (getTableColumns(t) as Record<string, PgColumn>)[name] as Column<V>;

/** Nothing: every row will do. */
export const anyRow: Condition<unknown> = () => undefined;

/** That columns hold the parameters of the same names: `having(tickets, "tenantId", "userId")`. */
export const having =
  <T extends PgTable, K extends NameOf<T>>(
    define: Define<T>,
    ...names: [K, ...K[]]
  ): Condition<{ [P in K]: NonNullable<T["$inferSelect"][P]> }> =>
  (s) => {
    const t = s.table(define);
    return and(...names.map((name) => eq(columnOf(t, name), s.param(name, columnOf(t, name)))));
  };

/** That a column holds one of some values. */
export const being =
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

/** That rows have not expired at `now`. */
export const isInTime =
  (define: Define<Expiring>): Condition<{ now: Date }> =>
  (s) => {
    const { expireTime } = s.table(define);
    return gt(expireTime, s.param("now", expireTime));
  };

/** That rows have expired at `now`. */
export const hasExpired =
  (define: Define<Expiring>): Condition<{ now: Date }> =>
  (s) => {
    const { expireTime } = s.table(define);
    return lte(expireTime, s.param("now", expireTime));
  };

/** That all of some conditions are met. */
export const all =
  <C extends Condition<never>[]>(...conditions: C): Condition<Every<C[number]>> =>
  (s) =>
    and(...conditions.map((condition) => condition(s as Building<never>)));
