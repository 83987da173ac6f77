import { and, asc, between, eq, gt, lt, sql } from "drizzle-orm";
import { HIGHEST_SEQUENCE } from "../db/append-only.ts";
import { setParams } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { auditHeads } from "./audit-heads.table.ts";

/** A row of the table. */
export type AuditHeadRow = ReturnType<typeof auditHeads>["$inferSelect"];

type Key = { tenantId: string };
type End = Key & Pick<AuditHeadRow, "sequence" | "hash" | "mac">;
type Passing = Key & Pick<AuditHeadRow, "sequence" | "hash" | "mac">;
type Floor = Key & Pick<AuditHeadRow, "floorSequence" | "floorHash" | "floorMac">;

const isTenant = (s: Building<Key>) => {
  const t = s.table(auditHeads);
  return eq(t.tenantId, s.param("tenantId", t.tenantId));
};

const NOTHING = Buffer.alloc(0);

const statements = {
  find: statement((s: Building<Key>) => s.db.select().from(s.table(auditHeads)).where(isTenant(s))),
  list: statement((s: Building<Key & { limit: number }>) => {
    const t = s.table(auditHeads);
    return s.db
      .select()
      .from(t)
      .where(gt(t.tenantId, s.param("tenantId", t.tenantId)))
      .orderBy(asc(t.tenantId))
      .limit(s.limit("limit"));
  }),
  advance: statement((s: Building<Key & { places: number }>) => {
    const t = s.table(auditHeads);
    const empty = { hash: NOTHING, mac: NOTHING, floorSequence: 0, floorHash: NOTHING, floorMac: NOTHING };
    return s.db
      .insert(t)
      .values({ tenantId: s.param("tenantId", t.tenantId), sequence: s.param("places", t.sequence), ...empty })
      .onConflictDoUpdate({
        target: t.tenantId,
        set: { sequence: sql`${t.sequence} + ${s.param("places", t.sequence)}` },
        // No entry is signed at an end that the service cannot have come to: an operator repairs it first.
        setWhere: between(t.sequence, 0, HIGHEST_SEQUENCE),
      })
      .returning();
  }),
  end: statement((s: Building<End>) => {
    const t = s.table(auditHeads);
    return s.db
      .update(t)
      .set({ hash: s.param("hash", t.hash), mac: s.param("mac", t.mac) })
      .where(and(isTenant(s), eq(t.sequence, s.param("sequence", t.sequence))))
      .returning({ sequence: t.sequence });
  }),
  passBy: statement((s: Building<Passing>) => {
    const t = s.table(auditHeads);
    const end = setParams(s, t, "sequence", "hash", "mac");
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        ...end,
        ...{ floorSequence: 0, floorHash: NOTHING, floorMac: NOTHING },
      })
      .onConflictDoUpdate({ target: t.tenantId, set: end, setWhere: lt(t.sequence, end.sequence) })
      .returning({ sequence: t.sequence });
  }),
  restore: statement((s: Building<End>) => {
    const t = s.table(auditHeads);
    return s.db
      .update(t)
      .set(setParams(s, t, "sequence", "hash", "mac"))
      .where(isTenant(s))
      .returning({ sequence: t.sequence });
  }),
  raiseFloor: statement((s: Building<Floor>) => {
    const t = s.table(auditHeads);
    const floorSequence = s.param("floorSequence", t.floorSequence);
    return s.db
      .update(t)
      .set({ floorSequence, floorHash: s.param("floorHash", t.floorHash), floorMac: s.param("floorMac", t.floorMac) })
      .where(and(isTenant(s), lt(t.floorSequence, floorSequence)))
      .returning({ sequence: t.sequence });
  }),
};

/** The ends of the chains. */
export const auditHeadRepository = (tx: Tx) => ({
  find: async (tenantId: string) => (await tx.run(statements.find, { tenantId }))[0],
  /** Those of the tenants that come after this one. */
  list: (tenantId: string, limit: number) => tx.run(statements.list, { tenantId, limit }),
  /**
   * Takes the next place, or so many, and answers the last: from here until the unit ends, no other unit adds to the
   * tenant's chain. The hash is still that of the entry before.
   */
  async advance(tenantId: string, places = 1): Promise<AuditHeadRow> {
    const [row] = await tx.run(statements.advance, { tenantId, places });
    if (!row) throw new Error("an audit chain did not advance");
    return row;
  },
  /** Says what stands at the place that was taken. */
  end: (end: End) => tx.run(statements.end, end),
  /** Puts the end behind entries that are not the chain's; false when it is there already. */
  passBy: async (end: Passing) => (await tx.run(statements.passBy, end)).length === 1,
  /**
   * Puts back a head that the service did not write. Of two repairs at once the later fails: its entry would take a
   * sequence number that is taken.
   */
  restore: (end: End) => tx.run(statements.restore, end),
  /** Lets entries up to here be deleted; false when that much is forgotten already. */
  raiseFloor: async (floor: Floor) => (await tx.run(statements.raiseFloor, floor)).length === 1,
});
