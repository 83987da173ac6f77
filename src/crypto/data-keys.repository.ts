import { eq } from "drizzle-orm";
import { type Building, statement, type Tx } from "../db/store.ts";
import { dataKeys } from "./data-keys.table.ts";

/** A tenant's data key as it is stored. */
export type WrappedKey = ReturnType<typeof dataKeys>["$inferSelect"];

const statements = {
  list: statement((s: Building<{ tenantId: string }>) => {
    const t = s.table(dataKeys);
    return s.db
      .select()
      .from(t)
      .where(eq(t.tenantId, s.param("tenantId", t.tenantId)));
  }),
  insert: statement((s: Building<WrappedKey>) => {
    const t = s.table(dataKeys);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning({ keyId: t.keyId });
  }),
  wrappingKeys: statement((s: Building<Record<never, never>>) => {
    const t = s.table(dataKeys);
    return s.db.selectDistinct({ wrappingKeyId: t.wrappingKeyId }).from(t);
  }),
};

/** The wrapped data keys. */
export const dataKeyRepository = (tx: Tx) => ({
  /** All keys of a tenant; few, one a rotation. */
  list: (tenantId: string): Promise<WrappedKey[]> => tx.run(statements.list, { tenantId }),
  /** Adds a key unless the tenant has one of that id: of two instances one wins, and both read the winner's. */
  insert: (row: WrappedKey) => tx.run(statements.insert, row),
  /** The ids of the operator's keys that data depends on. */
  listWrappingKeyIds: async () => (await tx.run(statements.wrappingKeys, {})).map((row) => row.wrappingKeyId),
});
