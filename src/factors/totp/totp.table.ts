import type { Dialect } from "../../db/dialect.ts";

/** Authenticator apps: pending until a first code proves them. */
export const totpDevices = (d: Dialect) =>
  d.table(
    "totp_devices",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      deviceId: d.text("device_id").notNull(),
      displayName: d.text("display_name").notNull(),
      /** "pending", "active" or "disabled". */
      state: d.text("state").$type<"pending" | "active" | "disabled">().notNull(),
      /** "sha1", "sha256" or "sha512"; kept as enrolled, whatever the defaults become. */
      algorithm: d.text("algorithm").$type<"sha1" | "sha256" | "sha512">().notNull(),
      digits: d.integer("digits").$type<6 | 8>().notNull(),
      periodSeconds: d.integer("period_seconds").notNull(),
      sealedSecret: d.bytes("sealed_secret").notNull(),
      /** The newest time step a code was accepted for; older ones and this are spent (RFC 6238 §5.2). Never lowered. */
      lastStep: d.counter("last_step").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      lastUseTime: d.instant("last_use_time"),
      /** When a pending device is forgotten; null once it is proven. */
      expireTime: d.instant("expire_time"),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId, t.deviceId] })],
  );
