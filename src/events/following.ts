import type { Call } from "../core/call.ts";
import type { Notifier } from "../streams/notifier.ts";
import type { createEventStream, EventFilter } from "./event-stream.ts";
import type { EventRow } from "./events.repository.ts";
import { streamTopic } from "./sequencer.ts";

/** The next event, or a heartbeat with the stream's sequence number. */
export type Followed = { readonly place: number; readonly event?: EventRow };

/** The interval of heartbeats, and the longest life of a stream. */
const SIGN_OF_LIFE_MS = 30_000;
const LONGEST_MS = 3600_000;
const PART = 250;

/** Follows a tenant's events from a sequence number on, for an hour or until the call ends. */
export async function* follow(
  { stream, notifier }: { stream: ReturnType<typeof createEventStream>; notifier: Notifier },
  call: Call,
  { filter, from }: { filter: EventFilter; from: number },
): AsyncIterable<Followed> {
  const { tenantId } = call.caller;
  const time = () => call.clock().getTime();
  // Subscribed before the first read, so that no event in between is missed.
  const waiting = notifier.watch(streamTopic(tenantId), call.signal);
  const ends = time() + LONGEST_MS;
  let shown = time();
  let place = from;
  try {
    while (!call.signal.aborted && time() < ends) {
      const part = await stream.after(tenantId, filter, place, PART);
      for (const event of part.events) yield { event, place: event.position ?? place };
      const isDue = part.events.length === 0 && (part.place > place || time() >= shown + SIGN_OF_LIFE_MS);
      place = part.place;
      if (isDue) yield { place };
      if (isDue || part.events.length > 0) shown = time();
      if (!part.isEnd) continue;
      waiting.until(new Date(time() + SIGN_OF_LIFE_MS));
      await waiting.next();
    }
  } finally {
    waiting.close();
  }
}
