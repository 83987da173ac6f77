import { and, eq } from "drizzle-orm";
import { anyRow, having } from "../db/conditions.ts";
import { given, insertIfNew, select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { tenantSettings } from "./tenant-settings.table.ts";

/** A row of the table. */
export type TenantSettingsRow = ReturnType<typeof tenantSettings>["$inferSelect"];

const isTenant = having(tenantSettings, "tenantId");

const statements = {
  find: select(tenantSettings, isTenant),
  listAll: select(tenantSettings, anyRow),
  insert: insertIfNew(tenantSettings),
  update: statement((s: Building<TenantSettingsRow & { basedOn: number }>) => {
    const t = s.table(tenantSettings);
    return s.db
      .update(t)
      .set({
        ...given(s, t, "version", "settings", "updateTime"),
      })
      .where(and(isTenant(s), eq(t.version, s.param("basedOn", t.version))))
      .returning({ version: t.version });
  }),
};

/** The settings of tenants. */
export const tenantSettingsRepository = (tx: Tx) => ({
  find: async (tenantId: string) => (await tx.run(statements.find, { tenantId }))[0],
  /** Those of every tenant that has set anything. */
  listAll: () => tx.run(statements.listAll, {}),
  /** Puts the row in the place of version `basedOn`, 0 for none: true for exactly one of any number of callers. */
  advance: async (row: TenantSettingsRow, basedOn: number) => {
    const put = basedOn === 0 ? tx.run(statements.insert, row) : tx.run(statements.update, { ...row, basedOn });
    return (await put).length === 1;
  },
});
