import type Database from "better-sqlite3";
import { Column, is, Param, Placeholder, SQL } from "drizzle-orm";
import { assertDefined, type PreparedQuery, requireBindable, rowsOf } from "./prepare.ts";

type Values = Readonly<Record<string, unknown>>;
type Decode = (value: unknown) => unknown;

/** A field of a result as drizzle orders them: where its value goes, and what decodes it. */
interface Field {
  readonly path: readonly string[];
  readonly field: unknown;
}

/** What drizzle prepared for better-sqlite3, whose type keeps it to itself. */
interface Prepared extends PreparedQuery {
  readonly stmt: Database.Statement<unknown[]>;
  readonly query: { readonly params: readonly unknown[] };
  readonly fields?: readonly Field[];
  readonly customResultMapper?: unknown;
}

/** Runs a prepared statement on the values of its parameters, and returns its rows. */
export type Run = (values: Record<string, unknown>) => unknown[];

/** How a parameter of the statement is made of the values by name. */
function binderOf(param: unknown): (values: Values) => unknown {
  if (is(param, Placeholder)) {
    const { name } = param;
    return (values) => requireBindable(name, values[name]);
  }
  if (is(param, Param) && is(param.value, Placeholder)) {
    const { name } = param.value;
    const { encoder } = param;
    return (values) => encoder.mapToDriverValue(requireBindable(name, values[name]));
  }
  return () => param;
}

/** Where a decoder does nothing, it is drizzle's own for all columns. */
const UNCHANGED: unknown = Column.prototype.mapFromDriverValue;

/** How a field is decoded: undefined where its value stays as it is, null where only drizzle knows. */
function decoderOf({ path, field }: Field): Decode | undefined | null {
  if (path.length !== 1) return null;
  if (is(field, Column)) {
    return field.mapFromDriverValue === UNCHANGED ? undefined : (value) => field.mapFromDriverValue(value);
  }
  const sql = is(field, SQL) ? field : is(field, SQL.Aliased) ? field.sql : undefined;
  // Its decoder is drizzle's secret, but the way to set it tells: one that was never set changes nothing.
  const decoder = (sql as { decoder?: { mapFromDriverValue: Decode } } | undefined)?.decoder;
  return decoder ? (value) => decoder.mapFromDriverValue(value) : null;
}

/**
 * Compiles what drizzle prepared into functions that bind and decode, once: drizzle asks of every value of every run what
 * it is. Statements whose rows have parts, which joins give, run by drizzle itself.
 */
export function compile(prepared: PreparedQuery): Run {
  const { stmt, query, fields, customResultMapper } = prepared as Prepared;
  const decoders = fields?.map(decoderOf);
  if (!fields || !decoders || customResultMapper || decoders.includes(null)) {
    return (values) => {
      assertDefined(values);
      return rowsOf(prepared.execute(values).sync());
    };
  }
  const binders = query.params.map(binderOf);
  const columns = fields.map(({ path }, n) => ({ name: path[0] ?? "", decode: decoders[n] ?? undefined }));
  const raw = stmt.raw(true);
  return (values) => {
    const rows = raw.all(...binders.map((bind) => bind(values))) as unknown[][];
    return rows.map((row) => {
      const made: Record<string, unknown> = {};
      for (let n = 0; n < columns.length; n++) {
        const column = columns[n];
        const value = row[n];
        if (column) made[column.name] = column.decode === undefined || value === null ? value : column.decode(value);
      }
      return made;
    });
  };
}
