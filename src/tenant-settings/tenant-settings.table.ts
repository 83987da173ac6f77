import type { JsonObject } from "@bufbuild/protobuf";
import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** What tenants have set otherwise than the configuration file; no row while nothing is. */
export const tenantSettings = (d: Dialect) =>
  d.table("tenant_settings", {
    tenantId: d.text("tenant_id").primaryKey(),
    /** Grows with every change, from 1. */
    version: d.counter("version").notNull(),
    /** The groups that were set, as the JSON form of the contract's TenantSettings. */
    settings: d.json<JsonObject>("settings").notNull(),
    updateTime: d.instant("update_time").notNull(),
    boundMac: d.bytes("bound_mac"),
  });

bindRows(tenantSettings, ["tenantId", "version", "settings", "updateTime"], {});
