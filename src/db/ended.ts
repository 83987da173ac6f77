import { and, getTableColumns, lte, type SQL, sql } from "drizzle-orm";
import { getTableConfig, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import { type Define, dialects } from "./dialect.ts";
import { type Building, type Statement, statement } from "./store.ts";

/** The names of what a table's rows are told apart by. */
export function keyOf(define: Define): string[] {
  const table = define(dialects.postgres);
  const { primaryKeys, columns } = getTableConfig(table);
  const key = primaryKeys[0]?.columns ?? columns.filter(({ primary }) => primary);
  const names = Object.entries(getTableColumns(table)).filter(([, column]) =>
    key.some(({ name }) => name === column.name),
  );
  return names.map(([name]) => name);
}

/**
 * Deletes some of the rows whose time is past, `limit` at most, so that no unit holds others up however many there are.
 * `isOver` may ask for more than the one column. The condition stands twice: a row that another unit has given more time since it was found is left alone.
 */
export function deleteEnded<T extends PgTable>(
  define: Define<T>,
  column: keyof T["$inferSelect"] & string,
  isOver: (table: T, isPast: (column: keyof T["$inferSelect"] & string) => SQL) => SQL | undefined = () => undefined,
): Statement<{ before: Date; limit: number }, T["$inferSelect"]> {
  const names = keyOf(define);
  return statement((s: Building<{ before: Date; limit: number }>) => {
    const t = s.table(define);
    const columns = getTableColumns(t) as Record<string, PgColumn>;
    const named = (name: string) => columns[name] as PgColumn; // its own columns' names
    const key = names.map(named);
    const isPast = (name: string) => lte(named(name), s.param("before", named(name)));
    const over = and(isPast(column), isOver(t, isPast));
    const found = s.db
      .select(Object.fromEntries(names.map((name) => [name, named(name)])))
      .from(t as PgTable)
      .where(over)
      .limit(s.limit("limit"));
    return s.db
      .delete(t)
      .where(and(over, sql`(${sql.join(key, sql`, `)}) in ${found}`))
      .returning() as PromiseLike<T["$inferSelect"][]>;
  });
}
