import type { Dialect } from "../db/dialect.ts";

/** Where each tenant's chain ends and begins: the one row that its writers wait for. It never goes back. */
export const auditHeads = (d: Dialect) =>
  d.table("audit_heads", {
    tenantId: d.text("tenant_id").primaryKey(),
    /** The last entry. */
    sequence: d.counter("sequence").notNull(),
    /** Its hash; empty while there is none. */
    hash: d.bytes("hash").notNull(),
    /** Signs the two. */
    mac: d.bytes("mac").notNull(),
    /** The last entry that retention has forgotten; 0 for none. */
    floorSequence: d.counter("floor_sequence").notNull(),
    /** Its hash, which the first one kept builds on. */
    floorHash: d.bytes("floor_hash").notNull(),
    /** Signs the two; empty while nothing is forgotten. */
    floorMac: d.bytes("floor_mac").notNull(),
  });
