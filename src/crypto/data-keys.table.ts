import type { Dialect } from "../db/dialect.ts";

/** The tenants' data keys, each wrapped by an operator's key. */
export const dataKeys = (d: Dialect) =>
  d.table(
    "data_keys",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** Counts up within a tenant from "1"; the highest one seals. */
      keyId: d.text("key_id").notNull(),
      wrappingKeyId: d.text("wrapping_key_id").notNull(),
      wrapped: d.bytes("wrapped").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.keyId] })],
  );
