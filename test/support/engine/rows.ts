import { getTableName } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import { columnOf } from "../../../src/db/conditions.ts";
import { type Define, dialects } from "../../../src/db/dialect.ts";
import { keyColumnsOf } from "../../../src/db/ended.ts";
import { type Building, type Store, statement } from "../../../src/db/store.ts";
import { tables } from "../../../src/schema.ts";

const inOrder = <T extends PgTable>(define: Define<T>) =>
  statement((s: Building<Record<never, never>>) => {
    const t: PgTable = s.table(define);
    const key = keyColumnsOf(define).map((name) => columnOf(t, name));
    return s.db
      .select()
      .from(t)
      .orderBy(...key) as PromiseLike<T["$inferSelect"][]>;
  });

/** Every row of a table, in the order of its key: where that is made as rows are, in the order in which they were written. */
export const rowsIn = <T extends PgTable>(store: Store, define: Define<T>): Promise<T["$inferSelect"][]> =>
  store.read((tx) => tx.run(inOrder(define), {}));

const selects = tables.map((define) => ({
  name: getTableName(define(dialects.sqlite)),
  select: inOrder(define as Define),
}));

/** What background work writes by itself, at moments of its own. */
export const PLACED = ["events", "event_streams", "outbox_messages"];
/** Keeps also that a call was refused. */
export const TRAIL = ["audit_entries", "audit_heads"];

/** Everything that a store holds, table by table, as text that can be compared; without the tables named. */
export async function everyRow(store: Store, without: readonly string[] = []): Promise<Record<string, string[]>> {
  const kept = selects.filter(({ name }) => !without.includes(name));
  const contents = await store.read((tx) =>
    Promise.all(kept.map(async ({ name, select }) => [name, await tx.run(select, {})] as const)),
  );
  return Object.fromEntries(contents.map(([name, rows]) => [name, rows.map((row) => JSON.stringify(row)).sort()]));
}
