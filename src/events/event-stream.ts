import { Refusal } from "../core/refusal.ts";
import type { Store } from "../db/store.ts";
import { eventStreamRepository } from "./event-streams.repository.ts";
import { type EventRow, eventRepository, typesOf } from "./events.repository.ts";
import { sequenceEvents } from "./sequencer.ts";

/** A filter of events; no types means all, an empty user id all users. */
export interface EventFilter {
  readonly types: readonly EventRow["type"][];
  readonly userId: string;
  readonly since: Date;
}

/** Events of a stream, and the sequence number up to which it was read. */
export interface StreamPart {
  readonly events: readonly EventRow[];
  /** The sequence number up to which the stream was read. */
  readonly place: number;
  /** Whether that is its end. */
  readonly isEnd: boolean;
}

const EPOCH = new Date(0);
/** Every sequence number. */
export const ALL: EventFilter = { types: [], userId: "", since: EPOCH };

/** Sequence numbers scanned and whole rows read in one unit at most; other units run in between. */
const WINDOW = 2_000;
const ROWS = 100;
/** Units that one call reads before it returns what it found. */
const WINDOWS = 50;

/** The largest expected skew between sequence order and timestamp order: units take time, and clocks differ. */
const SKEW_MS = 5 * 60_000;

const CURSOR = /^(0|[1-9]\d{0,14})\.([0-9a-f]{12}|0)$/;

/**
 * A cursor names a sequence number and the event there: after a restored backup the same number holds another event.
 */
export const cursorOf = (place: number, event: Pick<EventRow, "eventId"> | undefined): string =>
  `${place}.${event?.eventId.slice(-12) ?? "0"}`;

/** A tenant's events in the order in which they were placed. */
export function createEventStream(store: Store) {
  const bounds = async (tenantId: string) =>
    (await store.read((tx) => eventStreamRepository(tx).find(tenantId))) ?? { position: 0, floor: 0, floorTime: null };

  const span = (tenantId: string, filter: EventFilter, after: number, through: number, limit: number) => {
    const { userId, since } = filter;
    const types = typesOf(filter.types);
    return store.read((tx) => eventRepository(tx).list({ tenantId, userId, types, since, after, through, limit }));
  };

  const expired = (floorTime: Date | null) =>
    new Refusal("CURSOR_EXPIRED", { metadata: floorTime ? { oldest_time: floorTime.toISOString() } : {} });

  /** Refuses a place that events after it are forgotten of, and one that the stream has not reached. */
  async function requireKept(tenantId: string, place: number): Promise<void> {
    const { position, floor, floorTime } = await bounds(tenantId);
    if (place < floor || place > position) throw expired(floorTime);
  }

  async function placeOf(tenantId: string, cursor: string): Promise<number> {
    const [, digits, suffix] = CURSOR.exec(cursor) ?? [];
    if (digits === undefined) throw new Refusal("INVALID_FIELD", { metadata: { field: "after_cursor" } });
    const place = Number(digits);
    await requireKept(tenantId, place);
    const [event] = await span(tenantId, ALL, place - 1, place, 1);
    if (event && suffix !== "0" && !event.eventId.endsWith(suffix ?? "")) throw expired(null);
    return place;
  }

  async function end(tenantId: string): Promise<number> {
    await sequenceEvents(store, tenantId);
    return (await bounds(tenantId)).position;
  }

  async function placeBefore(tenantId: string, since: Date): Promise<number> {
    const early = new Date(Math.max(0, since.getTime() - SKEW_MS));
    const first = await store.read((tx) => eventRepository(tx).findFirstSince(tenantId, early));
    const { position, floor } = await bounds(tenantId);
    if (since.getTime() === 0) return floor;
    return Math.max(floor, first === undefined ? position : first - 1);
  }

  return {
    /** The place that a cursor names. */
    placeOf,

    /** The end of the stream, with everything placed that was committed before. */
    end,

    /** Where a reader begins: behind a page, behind a cursor, or before the first event that is not older. */
    async begin(tenantId: string, { place = 0, cursor, since }: { place?: number; cursor: string; since: Date }) {
      await end(tenantId);
      if (place > 0) await requireKept(tenantId, place);
      if (place > 0) return place;
      return cursor === "" ? placeBefore(tenantId, since) : placeOf(tenantId, cursor);
    },

    /** Events after a place. */
    async after(tenantId: string, filter: EventFilter, from: number, size: number): Promise<StreamPart> {
      const { position } = await bounds(tenantId);
      const events: EventRow[] = [];
      let place = from;
      for (let n = 0; n < WINDOWS && place < position && events.length < size; n += 1) {
        const through = Math.min(place + WINDOW, position);
        const limit = Math.min(size - events.length, ROWS);
        const rows = await span(tenantId, filter, place, through, limit);
        events.push(...rows);
        // A part of a window that is full ends with its last event.
        place = rows.length < limit ? through : (rows.at(-1)?.position ?? through);
      }
      return { events, place, isEnd: place >= position };
    },
  };
}
