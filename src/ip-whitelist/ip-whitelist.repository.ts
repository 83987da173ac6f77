import { and, eq } from "drizzle-orm";
import { type RowOf, reading, type WithMac, writing } from "../db/bound-rows.ts";
import { select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { ipWhitelist } from "./ip-whitelist.table.ts";

/** A row of the table. */
export type IpWhitelistRow = RowOf<typeof ipWhitelist>;

/** An entry of a tenant. */
export type EntryKey = { readonly tenantId: string; readonly entryId: string };

const isTenant = (s: Building<{ tenantId: string }>) => {
  const t = s.table(ipWhitelist);
  return eq(t.tenantId, s.param("tenantId", t.tenantId));
};

const isEntry = (s: Building<EntryKey>) => {
  const t = s.table(ipWhitelist);
  return and(isTenant(s), eq(t.entryId, s.param("entryId", t.entryId)));
};

const statements = {
  find: select(ipWhitelist, isEntry),
  list: select(ipWhitelist, isTenant, { time: "createTime", id: "entryId" }),
  insert: writing(
    ipWhitelist,
    statement((s: Building<WithMac<IpWhitelistRow>>) => {
      const t = s.table(ipWhitelist);
      return s.db
        .insert(t)
        .values(s.row(t))
        .onConflictDoNothing({ target: [t.tenantId, t.cidr] })
        .returning({ entryId: t.entryId });
    }),
  ),
  delete: statement((s: Building<EntryKey>) => s.db.delete(s.table(ipWhitelist)).where(isEntry(s)).returning()),
  deleteVersion: reading(
    ipWhitelist,
    statement((s: Building<EntryKey & { version: number }>) => {
      const t = s.table(ipWhitelist);
      return s.db
        .delete(t)
        .where(and(isEntry(s), eq(t.version, s.param("version", t.version))))
        .returning();
    }),
  ),
};

/** Listed networks. */
export const ipWhitelistRepository = (tx: Tx) => ({
  find: async (key: EntryKey) => (await tx.run(statements.find, key))[0],
  /** All of a tenant, oldest first; there are few. */
  list: (tenantId: string) => tx.run(statements.list, { tenantId }),
  /** Adds an entry; false when the tenant has one of this network. */
  insert: async (row: IpWhitelistRow) => (await tx.run(statements.insert, row)).length === 1,
  delete: async (key: EntryKey) => (await tx.run(statements.delete, key))[0],
  /** Takes an entry out if it still is at this version, to put another in its place. */
  deleteVersion: async (key: EntryKey, version: number) =>
    (await tx.run(statements.deleteVersion, { ...key, version }))[0],
});
