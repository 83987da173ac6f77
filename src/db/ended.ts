import { and, getTableColumns, gt, lte, type SQL, sql } from "drizzle-orm";
import { getTableConfig, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import { type Define, dialects } from "./dialect.ts";
import { type Building, type Statement, statement } from "./store.ts";

/** Returns the names of a table's key columns. */
export function keyColumnsOf(define: Define): string[] {
  const table = define(dialects.postgres);
  const { primaryKeys, columns } = getTableConfig(table);
  const key = primaryKeys[0]?.columns ?? columns.filter(({ primary }) => primary);
  const names = Object.entries(getTableColumns(table)).filter(([, column]) =>
    key.some(({ name }) => name === column.name),
  );
  return names.map(([name]) => name);
}

/**
 * Deletes rows whose time is past, at most `limit`, so that no unit blocks others for long; an index leads to them, past
 * any number of rows that stay. `isOver` may add to the condition. The condition stands twice: a row that another unit
 * has extended since it was found is left alone.
 */
export function deleteEnded<T extends PgTable>(
  define: Define<T>,
  column: keyof T["$inferSelect"] & string,
  isOver: (table: T, isPast: (column: keyof T["$inferSelect"] & string) => SQL) => SQL | undefined = () => undefined,
): Statement<{ before: Date; limit: number }, T["$inferSelect"]> {
  const names = keyColumnsOf(define);
  return statement((s: Building<{ before: Date; limit: number }>) => {
    const t = s.table(define);
    const columns = getTableColumns(t) as Record<string, PgColumn>;
    const named = (name: string) => columns[name] as PgColumn; // its own columns' names
    const key = names.map(named);
    const isPast = (name: string) => lte(named(name), s.param("before", named(name)));
    const over = isOver(t, isPast);
    const found = s.db
      .select(Object.fromEntries(names.map((name) => [name, named(name)])))
      .from(t as PgTable)
      .where(and(isPast(column), over))
      .limit(s.limit("limit"));
    // Negated, or SQLite may look for the rows by this condition and read all that have ended for each 200 it deletes.
    const isStillPast = sql`not (${gt(named(column), s.param("before", named(column)))})`;
    return s.db
      .delete(t)
      .where(and(isStillPast, over, sql`(${sql.join(key, sql`, `)}) in ${found}`))
      .returning() as PromiseLike<T["$inferSelect"][]>;
  });
}
