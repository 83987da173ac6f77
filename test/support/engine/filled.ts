import { getTableColumns, getTableName } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";
import { type Engine, tableIn } from "../../../src/db/dialect.ts";
import { tables } from "../../../src/schema.ts";

/** Rows of each table, by which planners see that it has grown. */
const ROWS = 2_000;

/** Values of columns that hold one of a few words, which statements compare with constants. */
const STATES = ["active", "queued", "open", "pending", "revoked", "done", "begun", "disabled"];

const oneOf = (words: readonly string[]): string =>
  `case i % ${words.length} ${words.map((word, n) => `when ${n} then '${word}'`).join(" ")} end`;

/** Expressions over the row's number `i`, by the column's name and type. */
function expressionOf(engine: Engine, column: PgColumn): string {
  const isLite = engine === "sqlite";
  if (column.name === "tenant_id") return "'tenant-' || (i % 3)";
  if (column.name === "user_id") return "'user-' || (i % 500)";
  if (column.name === "state") return oneOf(STATES);
  const [type] = column.getSQLType().split(/[ (]/);
  // An instant and a boolean are integers on SQLite; that of an instant counts milliseconds.
  if (type === "timestamp") return "timestamptz '2026-01-01' + i * interval '1 minute'";
  if (type === "boolean") return "i % 2 = 0";
  if (type === "integer" || type === "bigint") return /_time$/.test(column.name) && isLite ? "i * 60000" : "i";
  if (type === "bytea" || type === "blob") return isLite ? "randomblob(16)" : "decode(md5(i::text), 'hex')";
  if (type === "json" || column.dataType === "json") return "'{}'";
  return `'${column.name}-' || i`;
}

/** The statements that fill every table and have the planner look at what is in it. */
export function filling(engine: Engine): string[] {
  const rows =
    engine === "sqlite"
      ? `(with recursive n(i) as (select 1 union all select i + 1 from n where i < ${ROWS}) select i from n) as n`
      : `generate_series(1, ${ROWS}) as n(i)`;
  const inserts = tables.map((define) => {
    const table = tableIn(engine)(define);
    const columns = Object.values(getTableColumns(table)) as PgColumn[];
    const names = columns.map(({ name }) => `"${name}"`).join();
    const values = columns.map((column) => expressionOf(engine, column)).join();
    return `insert into "${getTableName(table)}" (${names}) select ${values} from ${rows} where true on conflict do nothing`;
  });
  return [...inserts, "analyze"];
}
