import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** Networks that a tenant trusts a little more. */
export const ipWhitelist = (d: Dialect) =>
  d.table(
    "ip_whitelist",
    {
      tenantId: d.text("tenant_id").notNull(),
      entryId: d.text("entry_id").notNull(),
      /** In canonical form. */
      cidr: d.text("cidr").notNull(),
      label: d.text("label").notNull(),
      enabled: d.boolean("enabled").notNull(),
      /** From then on it does not count; null for never. */
      expireTime: d.instant("expire_time"),
      /** Grows with every change, from 1. */
      version: d.counter("version").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.entryId] }),
      d.uniqueIndex("ip_whitelist_by_cidr").on(t.tenantId, t.cidr),
    ],
  );

bindRows(
  ipWhitelist,
  ["tenantId", "entryId", "cidr", "label", "enabled", "expireTime", "version", "createTime", "updateTime"],
  {},
  { broken: "absent" },
);
