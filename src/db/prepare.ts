import { DrizzleQueryError, getTableColumns, type SQL, sql } from "drizzle-orm";
import { type Engine, tableIn } from "./dialect.ts";
import type { Building, Queries, Statement } from "./store.ts";

/** The result of drizzle's `.prepare()`; `sync` exists on SQLite only. */
export interface PreparedQuery {
  execute(params: Record<string, unknown>): PromiseLike<unknown> & { sync(): unknown };
}

/** A column knows how its values are encoded; drizzle keeps that out of the type which `param` is called with. */
type Encoder = { mapToDriverValue(value: unknown): unknown };

// Null must reach the driver as it is: the columns' encoders would turn it into `0`, `"null"` or an exception.
const encoding = (column: Encoder): Encoder => ({
  mapToDriverValue: (value) => (value === null ? null : column.mapToDriverValue(value)),
});

/**
 * A value filled in at each run. The SQL around the Param is what `.set` accepts and `.values` leaves alone, and the
 * column's encoder is what makes a Date or a boolean bindable on SQLite.
 */
const param = <T>(name: string, column: unknown): SQL<T> =>
  sql<T>`${sql.param(sql.placeholder(name), encoding(column as Encoder))}`;

/**
 * SQLite plans a statement anew whenever a value is bound that its plan may depend on: one that is compared beside an
 * ORDER BY, every LIMIT, and after an ANALYZE nearly all. That took several times as long as the run itself. Behind a
 * plus, which does nothing to values of any type, SQLite looks at none; indexes are used all the same.
 */
const PARAMETER = "+?";

/** Drizzle's dialect, which its databases have although their type does not say so. */
interface Spelling {
  readonly dialect: { escapeParam(index: number): string };
}

/** Prepares statements on one connection, each at its first use. */
export function preparer(engine: Engine, db: Queries): <P, R>(statement: Statement<P, R>) => PreparedQuery {
  if (engine === "sqlite") (db as unknown as Spelling).dialect.escapeParam = () => PARAMETER;
  const building: Building<Record<string, unknown>> = {
    db,
    table: tableIn(engine),
    param: (name, column) => param(name, column),
    row: (table) =>
      Object.fromEntries(Object.entries(getTableColumns(table)).map(([name, column]) => [name, param(name, column)])),
    limit: (name) => sql.placeholder(name),
  };
  const prepared = new WeakMap<object, PreparedQuery>();
  let names = 0;
  return (statement) => {
    let found = prepared.get(statement);
    if (!found) {
      // Drizzle's builders share no type that has `prepare`. PostgreSQL needs a name to keep the plan, SQLite ignores it.
      const builder = (statement.build as (s: unknown) => unknown)(building) as {
        prepare(name: string): PreparedQuery;
      };
      found = builder.prepare(`s${++names}`);
      prepared.set(statement, found);
    }
    return found;
  };
}

/** Refuses a forgotten parameter; the drivers would bind NULL and quietly match or store nothing. */
export function requireBindable(name: string, value: unknown): unknown {
  if (value === undefined) throw new TypeError(`Statement parameter "${name}" is undefined`);
  if (value instanceof Date && Number.isNaN(value.getTime())) {
    throw new TypeError(`Statement parameter "${name}" is an invalid date`);
  }
  return value;
}

/** Refuses a forgotten parameter among those of a statement. */
export function assertDefined(params: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(params)) requireBindable(name, value);
}

/** The rows of a result; a statement without `returning` has none on either engine. */
export const rowsOf = <Row>(result: unknown): Row[] => (Array.isArray(result) ? result : []);

/** The driver's own error: drizzle's wrapper holds the parameters, which may be secrets, in its message. */
export const driverError = (error: unknown): unknown => (error instanceof DrizzleQueryError ? error.cause : error);
