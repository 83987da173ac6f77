import type { Dialect } from "../db/dialect.ts";

/** The end and the floor of each tenant's stream of events. The sequencer locks this row. */
export const eventStreams = (d: Dialect) =>
  d.table("event_streams", {
    tenantId: d.text("tenant_id").primaryKey(),
    /** The last sequence number given. */
    position: d.counter("position").notNull(),
    /** The floor: the last sequence number that retention deleted; 0 for none. */
    floor: d.counter("floor").notNull(),
    /** The time of the last deleted event, for the refusal that tells a client where to begin. */
    floorTime: d.instant("floor_time"),
  });
