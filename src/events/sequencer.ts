import { createHash } from "node:crypto";
import { forEachTenant, inPages } from "../db/each-tenant.ts";
import { type Store, StoreUnavailable, type Tx } from "../db/store.ts";
import { eventStreamRepository } from "./event-streams.repository.ts";
import { eventRepository } from "./events.repository.ts";

/** Events sequenced in one unit. */
const BATCH = 1_000;

/** The topic announced when a tenant's stream has grown; a digest, since it passes through the database's log. */
export const streamTopic = (tenantId: string): string =>
  createHash("sha256")
    .update(JSON.stringify(["events", tenantId]))
    .digest("base64url")
    .slice(0, 22);

/**
 * Gives a batch of events their sequence numbers in one unit; returns whether more may be left. The stream ends at the
 * highest number given. An event that is erased concurrently is counted and then not numbered, so the count of events
 * is not used to advance; and a stream that is behind its own events catches up.
 */
async function placeBatch(tx: Tx, tenantId: string): Promise<boolean> {
  const [streams, events] = [eventStreamRepository(tx), eventRepository(tx)];
  const end = await streams.hold(tenantId);
  const last = Math.max(end, await events.findLastPlace(tenantId));
  const given = await events.place(tenantId, last, BATCH);
  const reached = given.reduce((highest, place) => Math.max(highest, place), last);
  if (reached === end) return false;
  await streams.advance(tenantId, reached);
  tx.announce(streamTopic(tenantId));
  return reached - last === BATCH || given.length < reached - last;
}

/**
 * Gives committed events of a tenant their sequence numbers. Ids and times are made before a commit and do not follow
 * the order of commits: a reader that continued after the last known id would miss an event that commits later with an
 * earlier id. Sequence numbers are given after the commit, by one unit at a time for each tenant, so a reader that sees
 * one sees all before it.
 */
export async function sequenceEvents(store: Store, tenantId: string): Promise<void> {
  if (!(await store.read((tx) => eventRepository(tx).hasUnplaced(tenantId)))) return;
  for (let more = true; more; ) more = await store.write((tx) => placeBatch(tx, tenantId));
}

/** Sequences the events of every tenant that has unsequenced ones. */
export const sequenceAllEvents = (store: Store): Promise<void> =>
  forEachTenant(
    inPages(
      (after, size) => store.read((tx) => eventRepository(tx).listUnplaced(after, size)),
      ({ tenantId }) => tenantId,
    ),
    ({ tenantId }) => sequenceEvents(store, tenantId),
  );

const streamsIn = (store: Store) =>
  inPages(
    (after, size) => store.read((tx) => eventStreamRepository(tx).list(after, size)),
    ({ tenantId }) => tenantId,
  );

/** Advances streams that end before their last sequenced event; run at start. */
export const healStreams = (store: Store): Promise<void> =>
  forEachTenant(streamsIn(store), async ({ tenantId, position }) => {
    const last = await store.read((tx) => eventRepository(tx).findLastPlace(tenantId));
    if (last > position) await store.write((tx) => placeBatch(tx, tenantId));
  });

/** How often a unit is run that waited for the stream longer than a statement may. */
const TRIES = 3;

/**
 * Runs a unit that holds a stream, again where it waited too long: PostgreSQL gives a row to whoever comes first once it
 * has changed, so that one of very many that want it, as beside erasures of very many users, may find it taken each time.
 */
async function writeAmongMany<T>(store: Store, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let n = 1; ; n += 1) {
    try {
      return await store.write(work);
    } catch (thrown) {
      if (!(thrown instanceof StoreUnavailable) || n === TRIES) throw thrown;
    }
  }
}

/** Deletes a tenant's events in parts, up to the first that is not older than `time`; returns how many. */
async function forgetEventsOf(store: Store, tenantId: string, floor: number, time: Date): Promise<number> {
  let count = 0;
  for (let after = floor, more = true; more; ) {
    const rows = await store.read((tx) => eventRepository(tx).listTimes(tenantId, after, BATCH));
    // In sequence order, not by time: some events are recorded late, under the time at which they happened.
    const fresh = rows.findIndex(({ createTime }) => createTime >= time);
    const old = fresh === -1 ? rows : rows.slice(0, fresh);
    const last = old.at(-1);
    if (!last) break;
    const through = last.position ?? after;
    count += await writeAmongMany(store, async (tx) => {
      await eventStreamRepository(tx).raiseFloor(tenantId, through, last.createTime);
      return eventRepository(tx).deleteThrough(tenantId, through);
    });
    [after, more] = [through, fresh === -1 && rows.length === BATCH];
  }
  return count;
}

/** Deletes events older than their tenant's retention; returns how many. */
export async function forgetEvents(
  store: Store,
  { now, retentionMsOf }: { now: Date; retentionMsOf: (tenantId: string) => Promise<number> },
): Promise<number> {
  let count = 0;
  await forEachTenant(streamsIn(store), async ({ tenantId, floor }) => {
    const time = new Date(now.getTime() - (await retentionMsOf(tenantId)));
    count += await forgetEventsOf(store, tenantId, floor, time);
  });
  return count;
}
