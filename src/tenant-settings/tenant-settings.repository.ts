import { and, eq } from "drizzle-orm";
import { type RowOf, type WithMac, writing } from "../db/bound-rows.ts";
import { anyRow, whereEquals } from "../db/conditions.ts";
import { insertIfNew, select, setParams } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { tenantSettings } from "./tenant-settings.table.ts";

/** A row of the table. */
export type TenantSettingsRow = RowOf<typeof tenantSettings>;

const isTenant = whereEquals(tenantSettings, "tenantId");

const statements = {
  find: select(tenantSettings, isTenant),
  listAll: select(tenantSettings, anyRow),
  insert: insertIfNew(tenantSettings),
  update: writing(
    tenantSettings,
    statement((s: Building<WithMac<TenantSettingsRow> & { basedOn: number }>) => {
      const t = s.table(tenantSettings);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "version", "settings", "updateTime", "boundMac"),
        })
        .where(and(isTenant(s), eq(t.version, s.param("basedOn", t.version))))
        .returning({ version: t.version });
    }),
  ),
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
