import { whereEquals } from "../../db/conditions.ts";
import { insertIfNew, select } from "../../db/rows.ts";
import type { Tx } from "../../db/store.ts";
import { vapidKeys } from "./push.table.ts";

/** A row of the table. */
export type VapidKeyRow = ReturnType<typeof vapidKeys>["$inferSelect"];

const statements = {
  find: select(vapidKeys, whereEquals(vapidKeys, "tenantId")),
  insert: insertIfNew(vapidKeys),
};

/** The keys of tenants for Web Push. */
export const vapidKeyRepository = (tx: Tx) => ({
  find: async (tenantId: string) => (await tx.run(statements.find, { tenantId }))[0],
  /** Keeps a key unless the tenant has one. */
  insert: (row: VapidKeyRow) => tx.run(statements.insert, row),
});
