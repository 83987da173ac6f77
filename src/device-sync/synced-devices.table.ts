import type { Dialect } from "../db/dialect.ts";

/** Authenticator apps that keep an encrypted copy of their data here. */
export const syncedDevices = (d: Dialect) =>
  d.table(
    "synced_devices",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      syncedDeviceId: d.text("synced_device_id").notNull(),
      displayName: d.text("display_name").notNull(),
      /** The newest; grows by one with each sync. */
      version: d.counter("version").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId, t.syncedDeviceId] })],
  );

/** What the apps have stored, in the last versions. Encrypted by the app, with a key that never comes here. */
export const syncedBlobs = (d: Dialect) =>
  d.table(
    "synced_blobs",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      syncedDeviceId: d.text("synced_device_id").notNull(),
      version: d.counter("version").notNull(),
      blob: d.bytes("blob").notNull(),
      /** SHA-256. */
      checksum: d.bytes("checksum").notNull(),
      size: d.integer("size").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId, t.syncedDeviceId, t.version] })],
  );
