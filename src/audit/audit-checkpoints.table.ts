import type { Dialect } from "../db/dialect.ts";

/** Signed statements of where chains stood. Rows are only ever added. */
export const auditCheckpoints = (d: Dialect) =>
  d.table(
    "audit_checkpoints",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** The last entry it covers. */
      sequence: d.counter("sequence").notNull(),
      hash: d.bytes("hash").notNull(),
      /** The statement as a signed JWT. */
      token: d.text("token").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.sequence] })],
  );
