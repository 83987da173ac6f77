import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** Clients that are trusted for a while, each by a secret that changes with every use. Of secrets only digests. */
export const trustedDevices = (d: Dialect) =>
  d.table(
    "trusted_devices",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      trustedDeviceId: d.text("trusted_device_id").notNull(),
      /** The part of the secret that stays, by which it is found; in no list and no log. A peppered digest. */
      seriesDigest: d.bytes("series_digest").notNull(),
      /** Counts the secrets of the series; each is good for one rotation. */
      counter: d.counter("counter").notNull(),
      secretDigest: d.bytes("secret_digest").notNull(),
      /** Of the secret before; null before the first rotation. */
      previousDigest: d.bytes("previous_digest"),
      rotateTime: d.instant("rotate_time").notNull(),
      displayName: d.text("display_name").notNull(),
      userAgent: d.text("user_agent").notNull(),
      ip: d.text("ip").notNull(),
      /** Where that was, for people; empty where it was not known, and in rows from before this was kept. */
      location: d.text("location").notNull().default(""),
      /** The application that it is trusted for; empty for all. */
      application: d.text("application").notNull(),
      /** The user's epoch when it was trusted: with another one it is trusted no more. */
      mfaEpoch: d.counter("mfa_epoch").notNull(),
      createTime: d.instant("create_time").notNull(),
      lastUseTime: d.instant("last_use_time").notNull(),
      /** Absolute: use does not move it. */
      expireTime: d.instant("expire_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.trustedDeviceId] }),
      d.uniqueIndex("trusted_devices_by_series").on(t.tenantId, t.userId, t.seriesDigest),
      d.index("trusted_devices_by_end").on(t.expireTime),
    ],
  );

const secret = "a digest that only our keys make, for this tenant and user: an older one is the row's earlier state";
const shown = "shown to its user, and asked nowhere";

bindRows(
  trustedDevices,
  ["tenantId", "userId", "trustedDeviceId", "seriesDigest", "application", "mfaEpoch", "createTime", "expireTime"],
  {
    counter: "counts the secrets: an older count is the row's earlier state",
    secretDigest: secret,
    previousDigest: secret,
    rotateTime: "for how many seconds the secret before is still taken",
    displayName: shown,
    userAgent: shown,
    ip: shown,
    location: shown,
    lastUseTime: shown,
  },
  { broken: "absent" },
);
