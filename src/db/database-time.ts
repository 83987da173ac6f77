import { sql } from "drizzle-orm";
import { installation } from "./installation.table.ts";
import { type Building, type Store, statement, type Tx } from "./store.ts";

/** Returns the time, inside of a unit. */
export type TimeOf = (tx: Tx) => Promise<Date>;

// PostgreSQL only; the row is the installation's mark, which every database has from its first start on.
const readClock = statement((s: Building<Record<never, never>>) =>
  s.db
    .select({ ms: sql<string>`floor(extract(epoch from clock_timestamp()) * 1000)` })
    .from(s.table(installation))
    .limit(1),
);

/** The time that all instances of a database share: PostgreSQL's clock; on SQLite the clock of its only process. */
export function databaseTime({ engine }: Pick<Store, "engine">): TimeOf {
  if (engine === "sqlite") return async () => new Date();
  return async (tx) => {
    const [row] = await tx.run(readClock, {});
    if (!row) throw new Error("a database without its mark has no time");
    return new Date(Number(row.ms));
  };
}
