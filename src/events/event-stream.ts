import { Refusal } from "../core/refusal.ts";
import type { Store } from "../db/store.ts";
import { eventStreamRepository } from "./event-streams.repository.ts";
import { type EventRow, eventRepository } from "./events.repository.ts";
import { placeEvents } from "./placing.ts";

/** Which events; no types take all, and an empty user everybody's. */
export interface EventFilter {
  readonly types: readonly EventRow["type"][];
  readonly userId: string;
  readonly since: Date;
}

/** Some events of a stream, and the place behind them. */
export interface Part {
  readonly events: readonly EventRow[];
  /** Up to where the stream was looked through. */
  readonly place: number;
  /** Whether that was its end. */
  readonly isEnd: boolean;
}

const EPOCH = new Date(0);
/** Everything. */
export const ALL: EventFilter = { types: [], userId: "", since: EPOCH };

/** Places that one unit looks through. */
const WINDOW = 2_000;
/** Units that one call reads before it answers with what it has. */
const WINDOWS = 50;

/** How far the order of places may be from that of times: units take their time, and clocks differ. */
const SKEW_MS = 5 * 60_000;

const CURSOR = /^(0|[1-9]\d{0,14})\.([0-9a-f]{12}|0)$/;

/** Names a place in a stream, and the event there: after a restored backup the same place holds another one. */
export const cursorOf = (place: number, event: Pick<EventRow, "eventId"> | undefined): string =>
  `${place}.${event?.eventId.slice(-12) ?? "0"}`;

/** A tenant's events in the order in which they were placed. */
export function createEventStream(store: Store) {
  const bounds = async (tenantId: string) =>
    (await store.read((tx) => eventStreamRepository(tx).find(tenantId))) ?? { position: 0, floor: 0, floorTime: null };

  const span = (tenantId: string, filter: EventFilter, after: number, through: number, limit: number) => {
    const { userId, since } = filter;
    return store.read((tx) => eventRepository(tx).list({ tenantId, userId, since, after, through, limit }));
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
    await placeEvents(store, tenantId);
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
    async after(tenantId: string, filter: EventFilter, from: number, size: number): Promise<Part> {
      const { position } = await bounds(tenantId);
      const wanted = new Set(filter.types);
      const found: EventRow[] = [];
      let place = from;
      for (let n = 0; n < WINDOWS && place < position; n += 1) {
        const through = Math.min(place + WINDOW, position);
        const rows = await span(tenantId, filter, place, through, WINDOW);
        for (const row of rows) {
          if (wanted.size > 0 && !wanted.has(row.type)) continue;
          found.push(row);
          if (found.length < size) continue;
          const last = row.position ?? through;
          return { events: found, place: last, isEnd: last >= position };
        }
        place = through;
      }
      return { events: found, place, isEnd: place >= position };
    },
  };
}
