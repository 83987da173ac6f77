import type { Dialect } from "../db/dialect.ts";

/** The head and the floor of each tenant's chain. Writers of entries lock this row. Neither number ever decreases. */
export const auditHeads = (d: Dialect) =>
  d.table("audit_heads", {
    tenantId: d.text("tenant_id").primaryKey(),
    /** The sequence number of the last entry. */
    sequence: d.counter("sequence").notNull(),
    /** Its hash; empty while there is none. */
    hash: d.bytes("hash").notNull(),
    /** MAC over the two. */
    mac: d.bytes("mac").notNull(),
    /** The floor: the sequence number of the last entry that retention deleted; 0 for none. */
    floorSequence: d.counter("floor_sequence").notNull(),
    /** Its hash, which the first remaining entry builds on. */
    floorHash: d.bytes("floor_hash").notNull(),
    /** MAC over the two; empty while nothing is deleted. */
    floorMac: d.bytes("floor_mac").notNull(),
  });
