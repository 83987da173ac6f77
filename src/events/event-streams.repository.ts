import { and, asc, gt, lt, sql } from "drizzle-orm";
import { whereEquals } from "../db/conditions.ts";
import { select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { eventStreams } from "./event-streams.table.ts";

/** A row of the table. */
export type EventStreamRow = ReturnType<typeof eventStreams>["$inferSelect"];

type Key = { tenantId: string };

const isTenant = whereEquals(eventStreams, "tenantId");

const statements = {
  find: select(eventStreams, isTenant),
  list: statement((s: Building<Key & { limit: number }>) => {
    const t = s.table(eventStreams);
    return s.db
      .select()
      .from(t)
      .where(gt(t.tenantId, s.param("tenantId", t.tenantId)))
      .orderBy(asc(t.tenantId))
      .limit(s.limit("limit"));
  }),
  hold: statement((s: Building<Key>) => {
    const t = s.table(eventStreams);
    return s.db
      .insert(t)
      .values({ tenantId: s.param("tenantId", t.tenantId), position: 0, floor: 0, floorTime: null })
      .onConflictDoUpdate({ target: t.tenantId, set: { position: sql`${t.position}` } })
      .returning();
  }),
  advance: statement((s: Building<Key & { position: number }>) => {
    const t = s.table(eventStreams);
    return s.db
      .update(t)
      .set({ position: s.param("position", t.position) })
      .where(isTenant(s))
      .returning({ position: t.position });
  }),
  raiseFloor: statement((s: Building<Key & { floor: number; floorTime: Date }>) => {
    const t = s.table(eventStreams);
    const floor = s.param("floor", t.floor);
    return s.db
      .update(t)
      .set({ floor, floorTime: s.param("floorTime", t.floorTime) })
      .where(and(isTenant(s), lt(t.floor, floor)))
      .returning({ floor: t.floor });
  }),
};

/** The ends of the streams. */
export const eventStreamRepository = (tx: Tx) => ({
  find: async (tenantId: string) => (await tx.run(statements.find, { tenantId }))[0],
  /** Those of the tenants that come after this one. */
  list: (tenantId: string, limit: number) => tx.run(statements.list, { tenantId, limit }),
  /** Makes whoever else places events of this tenant wait until the unit ends; answers the last place given. */
  hold: async (tenantId: string) => (await tx.run(statements.hold, { tenantId }))[0]?.position ?? 0,
  advance: (tenantId: string, position: number) => tx.run(statements.advance, { tenantId, position }),
  /** Says up to where events are forgotten; false when that much is already. */
  raiseFloor: async (tenantId: string, floor: number, floorTime: Date) =>
    (await tx.run(statements.raiseFloor, { tenantId, floor, floorTime })).length === 1,
});
