import { eq } from "drizzle-orm";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { vapidKeys } from "./push.table.ts";

/** A row of the table. */
export type VapidKeyRow = ReturnType<typeof vapidKeys>["$inferSelect"];

const statements = {
  find: statement((s: Building<{ tenantId: string }>) => {
    const t = s.table(vapidKeys);
    return s.db
      .select()
      .from(t)
      .where(eq(t.tenantId, s.param("tenantId", t.tenantId)));
  }),
  insert: statement((s: Building<VapidKeyRow>) => {
    const t = s.table(vapidKeys);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning({ tenantId: t.tenantId });
  }),
};

/** The keys of tenants for Web Push. */
export const vapidKeyRepository = (tx: Tx) => ({
  find: async (tenantId: string) => (await tx.run(statements.find, { tenantId }))[0],
  /** Keeps a key unless the tenant has one. */
  insert: (row: VapidKeyRow) => tx.run(statements.insert, row),
});
