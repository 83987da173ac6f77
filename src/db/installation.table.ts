import type { Dialect } from "./dialect.ts";

/** What a database was set up as; facts that later starts must agree with. */
export const installation = (d: Dialect) =>
  d.table("installation", { name: d.text("name").primaryKey(), value: d.text("value").notNull() });
