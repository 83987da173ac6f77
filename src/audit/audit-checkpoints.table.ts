import type { Dialect } from "../db/dialect.ts";

/** Signed checkpoints of audit chains. Rows are only ever added. */
export const auditCheckpoints = (d: Dialect) =>
  d.table(
    "audit_checkpoints",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** The sequence number of the last entry that it covers. */
      sequence: d.counter("sequence").notNull(),
      hash: d.bytes("hash").notNull(),
      /** The checkpoint as a signed JWT. */
      token: d.text("token").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.sequence] })],
  );
