import { createHash } from "node:crypto";
import type { Store } from "../db/store.ts";
import { eventStreamRepository } from "./event-streams.repository.ts";
import { eventRepository } from "./events.repository.ts";

/** Events placed in one unit. */
const BATCH = 1_000;
const TENANTS = 100;

/** What is announced when a tenant's stream has grown; a digest, as it passes through the database's log. */
export const streamTopic = (tenantId: string): string =>
  createHash("sha256")
    .update(JSON.stringify(["events", tenantId]))
    .digest("base64url")
    .slice(0, 22);

/**
 * Gives committed events of a tenant their places. Ids and times are given before a commit and say nothing of the order
 * of commits: who reads behind the last id it knows misses the event that commits later with an earlier one. Places are
 * given after the commit, by one unit at a time for each tenant; so whoever sees a place sees all before it.
 */
export async function placeEvents(store: Store, tenantId: string): Promise<void> {
  for (let placed = BATCH; placed === BATCH; ) {
    placed = await store.write(async (tx) => {
      const streams = eventStreamRepository(tx);
      const last = await streams.hold(tenantId);
      const count = await eventRepository(tx).place(tenantId, last, BATCH);
      if (count === 0) return 0;
      await streams.advance(tenantId, last + count);
      tx.announce(streamTopic(tenantId));
      return count;
    });
  }
}

/** Places the events of every tenant that has any to place. */
export async function placeAllEvents(store: Store): Promise<void> {
  const due = await store.read((tx) => eventRepository(tx).listUnplaced(TENANTS));
  for (const { tenantId } of due) await placeEvents(store, tenantId);
}

/** Forgets events that are older than their tenant keeps them; answers how many. */
export async function forgetEvents(
  store: Store,
  { now, retentionMsOf }: { now: Date; retentionMsOf: (tenantId: string) => Promise<number> },
): Promise<number> {
  let count = 0;
  for (let after = "", full = true; full; ) {
    const streams = await store.read((tx) => eventStreamRepository(tx).list(after, TENANTS));
    full = streams.length === TENANTS;
    for (const { tenantId, floor } of streams) {
      after = tenantId;
      const time = new Date(now.getTime() - (await retentionMsOf(tenantId)));
      const last = await store.read((tx) => eventRepository(tx).findLastBefore(tenantId, time));
      if (!last) continue;
      const end = last.position ?? 0;
      for (let through = floor; through < end; ) {
        through = Math.min(through + BATCH, end);
        count += await store.write(async (tx) => {
          await eventStreamRepository(tx).raiseFloor(tenantId, through, last.createTime);
          return eventRepository(tx).deleteThrough(tenantId, through);
        });
      }
    }
  }
  return count;
}
