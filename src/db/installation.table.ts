import type { Dialect } from "./dialect.ts";

/** The installation's mark: properties of the database that later starts must agree with. */
export const installation = (d: Dialect) =>
  d.table("installation", { name: d.text("name").primaryKey(), value: d.text("value").notNull() });
