import { and, isNull, lte, or } from "drizzle-orm";
import type { RowOf } from "../db/bound-rows.ts";
import { whereEquals } from "../db/conditions.ts";
import { insert, select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { serviceKeys } from "./service-keys.table.ts";

/** A service key as it is stored. */
export type ServiceKeyRow = RowOf<typeof serviceKeys>;

/** A key of a tenant. */
export type ServiceKeyId = { readonly tenantId: string; readonly keyId: string };

const isKey = whereEquals(serviceKeys, "tenantId", "keyId");

const statements = {
  insert: insert(serviceKeys),
  find: select(serviceKeys, isKey),
  findByDigest: select(serviceKeys, whereEquals(serviceKeys, "digest")),
  list: select(serviceKeys, whereEquals(serviceKeys, "tenantId"), { time: "createTime", id: "keyId" }),
  revoke: statement((s: Building<ServiceKeyId & { now: Date }>) => {
    const t = s.table(serviceKeys);
    return s.db
      .update(t)
      .set({ revokeTime: s.param("now", t.revokeTime) })
      .where(and(isKey(s), isNull(t.revokeTime)))
      .returning({ keyId: t.keyId });
  }),
  noteUse: statement((s: Building<ServiceKeyId & { now: Date; before: Date }>) => {
    const t = s.table(serviceKeys);
    const isOld = or(isNull(t.lastUseTime), lte(t.lastUseTime, s.param("before", t.lastUseTime)));
    return s.db
      .update(t)
      .set({ lastUseTime: s.param("now", t.lastUseTime) })
      .where(and(isKey(s), isOld))
      .returning({ keyId: t.keyId });
  }),
};

/** The tenants' service keys. */
export const serviceKeyRepository = (tx: Tx) => ({
  insert: (row: ServiceKeyRow) => tx.run(statements.insert, row),
  find: async (key: ServiceKeyId) => (await tx.run(statements.find, key))[0],
  findByDigest: async (digest: Buffer) => (await tx.run(statements.findByDigest, { digest }))[0],
  /** All of a tenant, oldest first, those that have ended among them; there are few. */
  list: (tenantId: string) => tx.run(statements.list, { tenantId }),
  /** Revokes a key; false when it was revoked before. */
  revoke: async (key: ServiceKeyId, now: Date) => (await tx.run(statements.revoke, { ...key, now })).length === 1,
  /** Notes a use, unless one was noted after `before`. */
  noteUse: (key: ServiceKeyId, now: Date, before: Date) => tx.run(statements.noteUse, { ...key, now, before }),
});
