import type { PgTable } from "drizzle-orm/pg-core";
import type { Define } from "../../../src/db/dialect.ts";
import { insertSet } from "../../../src/db/sets.ts";
import type { ServiceUnderTest } from "../worlds/service.ts";
import { rowsIn } from "./rows.ts";

/** Rows that one unit writes. */
const PART = 512;

/** The id of the n-th copy of a series of four hexadecimal digits. */
export const copyId = (n: number, series = "8000") => `01900000-0000-7000-${series}-${String(n).padStart(12, "0")}`;

/** Writes rows beside the service, as the service would have written them: the n-th, from 1, is `rowOf(n)`. */
export async function writeRows<T extends PgTable>(
  { store }: ServiceUnderTest,
  define: Define<T>,
  times: number,
  rowOf: (n: number) => Readonly<Record<string, unknown>>,
): Promise<void> {
  const insertAll = insertSet(define);
  for (let from = 1; from <= times; from += PART) {
    const rows = Array.from({ length: Math.min(PART, times - from + 1) }, (_, n) => rowOf(from + n));
    await store.write((tx) => insertAll(tx, rows));
  }
}

/** As `writeRows`, copies of the first row that `like` finds: `changes` says what is another value in the n-th. */
export async function copyRow<T extends PgTable>(
  service: ServiceUnderTest,
  define: Define<T>,
  times: number,
  changes: (n: number) => Partial<T["$inferSelect"]>,
  like: (row: T["$inferSelect"]) => boolean = () => true,
): Promise<void> {
  const found = (await rowsIn(service.store, define)).find(like);
  if (!found) throw new Error("there is no such row to copy");
  const { boundMac: _, ...one } = found as Record<string, unknown>;
  await writeRows(service, define, times, (n) => ({ ...one, ...changes(n) }));
}
