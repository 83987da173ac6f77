import { getTableName } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import { dialects } from "../../src/db/dialect.ts";
import { type Building, type Store, statement } from "../../src/db/store.ts";
import { tables } from "../../src/schema.ts";

const selects = tables.map((define) => ({
  name: getTableName(define(dialects.sqlite)),
  select: statement((s: Building<Record<never, never>>) => s.db.select().from(s.table(define) as PgTable)),
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
