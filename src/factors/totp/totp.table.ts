import { isNotNull } from "drizzle-orm";
import { bindRows } from "../../db/bound-rows.ts";
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
      /** Of a revoked one only the fact is kept: its sealed secret is empty. */
      state: d.text("state").$type<"pending" | "active" | "disabled" | "revoked">().notNull(),
      /** "sha1", "sha256" or "sha512"; kept as enrolled, whatever the defaults become. */
      algorithm: d.text("algorithm").$type<"sha1" | "sha256" | "sha512">().notNull(),
      digits: d.integer("digits").$type<6 | 8>().notNull(),
      periodSeconds: d.integer("period_seconds").notNull(),
      sealedSecret: d.bytes("sealed_secret").notNull(),
      /** The newest time step a code was accepted for; older ones and this are spent (RFC 6238 §5.2). Never lowered. */
      lastStep: d.counter("last_step").notNull(),
      /** How many steps its clock runs ahead of ours, as its codes have shown. */
      driftSteps: d.integer("drift_steps").notNull().default(0),
      /** How far the last code was off beyond that: two in a row that are off alike move the drift. */
      driftHint: d.integer("drift_hint").notNull().default(0),
      /** Of a pending device: the one whose place it takes once it is proven; empty for none. */
      replacesDeviceId: d.text("replaces_device_id").notNull().default(""),
      /** Grows with every change by the user, from 1. */
      version: d.counter("version").notNull().default(1),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      lastUseTime: d.instant("last_use_time"),
      /** When a pending device is forgotten; null once it is proven. */
      expireTime: d.instant("expire_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.deviceId] }),
      d.index("totp_devices_by_end").on(t.expireTime).where(isNotNull(t.expireTime)),
    ],
  );

const counted = "an older value is the row's earlier state, a newer one refuses codes";
const shown = "shown to its user, and asked nowhere";

bindRows(
  totpDevices,
  ["tenantId", "userId", "deviceId", "algorithm", "digits", "periodSeconds", "expireTime"],
  {
    state: "ends it, or takes it back to an earlier state: that it was proven, and so has no end, is under the MAC",
    sealedSecret: "sealed for this row and no other",
    lastStep: counted,
    driftSteps: "within the same ten steps as ever: which of the secret's codes are right at present",
    driftHint: "as the drift",
    replacesDeviceId: "ends another device of the same user, which a deletion does too",
    displayName: shown,
    version: counted,
    createTime: shown,
    updateTime: shown,
    lastUseTime: shown,
  },
  { broken: "absent", agrees: ({ state, expireTime }) => (state === "pending") === (expireTime !== null) },
);
