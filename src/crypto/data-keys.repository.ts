import { and, eq } from "drizzle-orm";
import { whereEquals } from "../db/conditions.ts";
import { insertIfNew, select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { dataKeys } from "./data-keys.table.ts";

/** A tenant's data key as it is stored. */
export type WrappedKey = ReturnType<typeof dataKeys>["$inferSelect"];

const statements = {
  list: select(dataKeys, whereEquals(dataKeys, "tenantId")),
  insert: insertIfNew(dataKeys),
  listWrappedBy: statement((s: Building<{ wrappingKeyId: string; limit: number }>) => {
    const t = s.table(dataKeys);
    return s.db
      .select()
      .from(t)
      .where(eq(t.wrappingKeyId, s.param("wrappingKeyId", t.wrappingKeyId)))
      .limit(s.limit("limit"));
  }),
  rewrap: statement((s: Building<Omit<WrappedKey, "createTime"> & { from: string }>) => {
    const t = s.table(dataKeys);
    return s.db
      .update(t)
      .set({ wrappingKeyId: s.param("wrappingKeyId", t.wrappingKeyId), wrapped: s.param("wrapped", t.wrapped) })
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          eq(t.keyId, s.param("keyId", t.keyId)),
          eq(t.wrappingKeyId, s.param("from", t.wrappingKeyId)),
        ),
      )
      .returning({ keyId: t.keyId });
  }),
  wrappingKeys: statement((s: Building<Record<never, never>>) => {
    const t = s.table(dataKeys);
    return s.db.selectDistinct({ wrappingKeyId: t.wrappingKeyId }).from(t);
  }),
};

/** The wrapped data keys. */
export const dataKeyRepository = (tx: Tx) => ({
  /** All keys of a tenant: few, one for each rotation. */
  list: (tenantId: string): Promise<WrappedKey[]> => tx.run(statements.list, { tenantId }),
  /** Adds a key unless the tenant has one of that id: of two instances one wins, and both then read the winner's. */
  insert: (row: WrappedKey) => tx.run(statements.insert, row),
  /** Some of the keys that an operator's key wraps. */
  listWrappedBy: (wrappingKeyId: string, limit: number) => tx.run(statements.listWrappedBy, { wrappingKeyId, limit }),
  /** Replaces a wrapping made by `from`; returns false when it is no longer there. */
  rewrap: async (row: Omit<WrappedKey, "createTime">, from: string) =>
    (await tx.run(statements.rewrap, { ...row, from })).length === 1,
  /** Returns the ids of the operator's keys that wrap data keys. */
  listWrappingKeyIds: async () => (await tx.run(statements.wrappingKeys, {})).map((row) => row.wrappingKeyId),
});
