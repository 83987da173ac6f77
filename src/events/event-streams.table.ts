import type { Dialect } from "../db/dialect.ts";

/** Where each tenant's stream of events ends and begins: the one row that those wait for who place events. */
export const eventStreams = (d: Dialect) =>
  d.table("event_streams", {
    tenantId: d.text("tenant_id").primaryKey(),
    /** The last place given. */
    position: d.counter("position").notNull(),
    /** The last place that retention has forgotten; 0 for none. */
    floor: d.counter("floor").notNull(),
    /** When the last event was that is forgotten, so that who asks for it hears where to begin. */
    floorTime: d.instant("floor_time"),
  });
