import type { Dialect } from "../db/dialect.ts";

/** A fingerprint of each operator's key that this database has known, to recognise a wrong key before it does harm. */
export const keyChecks = (d: Dialect) =>
  d.table(
    "key_checks",
    {
      keyId: d.text("key_id").notNull(),
      checkValue: d.bytes("check_value").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.keyId] })],
  );
