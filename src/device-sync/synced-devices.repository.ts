import { and, asc, eq, lte } from "drizzle-orm";
import { whereAll, whereEquals } from "../db/conditions.ts";
import { after, type PageParams, type Position, pageParams, slice } from "../db/page.ts";
import { deleteRows, insert, select } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { syncedBlobs, syncedDevices } from "./synced-devices.table.ts";

/** An app as it is stored. */
export type SyncedDeviceRow = ReturnType<typeof syncedDevices>["$inferSelect"];
/** One version of what it stored. */
export type SyncedBlobRow = ReturnType<typeof syncedBlobs>["$inferSelect"];
type Key = Owner & { syncedDeviceId: string };
type Version = Key & { version: number };

const isOwners = whereEquals(syncedDevices, "tenantId", "userId");
const isThis = whereEquals(syncedDevices, "tenantId", "userId", "syncedDeviceId");
const isBlobOf = whereEquals(syncedBlobs, "tenantId", "userId", "syncedDeviceId");

const statements = {
  insert: insert(syncedDevices),
  find: select(syncedDevices, isThis),
  listIds: statement((s: Building<Owner>) => {
    const t = s.table(syncedDevices);
    return s.db.select({ syncedDeviceId: t.syncedDeviceId }).from(t).where(isOwners(s));
  }),
  list: statement((s: Building<Owner & PageParams>) => {
    const [t, b] = [s.table(syncedDevices), s.table(syncedBlobs)];
    const isNewest = and(
      eq(b.tenantId, t.tenantId),
      eq(b.userId, t.userId),
      eq(b.syncedDeviceId, t.syncedDeviceId),
      eq(b.version, t.version),
    );
    return s.db
      .select({ device: t, size: b.size, checksum: b.checksum })
      .from(t)
      .innerJoin(b, isNewest)
      .where(and(isOwners(s), after(s, t.createTime, t.syncedDeviceId)))
      .orderBy(asc(t.createTime), asc(t.syncedDeviceId))
      .limit(s.limit("limit"));
  }),
  advance: statement((s: Building<Version & { next: number; displayName: string; now: Date }>) => {
    const t = s.table(syncedDevices);
    return s.db
      .update(t)
      .set({
        version: s.param("next", t.version),
        displayName: s.param("displayName", t.displayName),
        updateTime: s.param("now", t.updateTime),
      })
      .where(and(isThis(s), eq(t.version, s.param("version", t.version))))
      .returning();
  }),
  delete: deleteRows(syncedDevices, isThis),
  insertBlob: insert(syncedBlobs),
  findBlob: select(syncedBlobs, whereAll(isBlobOf, whereEquals(syncedBlobs, "version"))),
  deleteBlobs: statement((s: Building<Version>) => {
    const t = s.table(syncedBlobs);
    return s.db
      .delete(t)
      .where(and(isBlobOf(s), lte(t.version, s.param("version", t.version))))
      .returning({ version: t.version });
  }),
};

/** The apps of users, and what they stored. */
export const syncedDeviceRepository = (tx: Tx) => ({
  insert: (row: SyncedDeviceRow) => tx.run(statements.insert, row),
  find: async (key: Key) => (await tx.run(statements.find, key))[0],
  count: async (owner: Owner) => (await tx.run(statements.listIds, owner)).length,
  /** A page, oldest first, each with size and checksum of its newest version. */
  list: async (owner: Owner, { position, size }: { position: Position; size: number }) => {
    const rows = await tx.run(statements.list, { ...owner, ...pageParams(position, size) });
    return slice(rows, size, ({ device }) => ({ time: device.createTime, id: device.syncedDeviceId }));
  },
  /** Goes on from a version: a row for exactly one of any number of callers. */
  advance: async (from: Version, displayName: string, now: Date) =>
    (await tx.run(statements.advance, { ...from, next: from.version + 1, displayName, now }))[0],
  delete: async (key: Key) => (await tx.run(statements.delete, key)).length === 1,
  insertBlob: (row: SyncedBlobRow) => tx.run(statements.insertBlob, row),
  findBlob: async (version: Version) => (await tx.run(statements.findBlob, version))[0],
  /** Forgets a version and all older ones. */
  deleteBlobs: (upTo: Version) => tx.run(statements.deleteBlobs, upTo),
});
