import type { Call } from "../core/call.ts";
import type { Hub } from "../watch/hub.ts";
import type { createEventStream, EventFilter } from "./event-stream.ts";
import type { EventRow } from "./events.repository.ts";
import { streamTopic } from "./placing.ts";

/** The next event, or a sign of life: where the stream stands. */
export type Followed = { readonly place: number; readonly event?: EventRow };

/** How often a stream without events shows that it lives, and after which it ends. */
const SIGN_OF_LIFE_MS = 30_000;
const LONGEST_MS = 3600_000;
const PART = 250;

/** Follows a tenant's events from a place on, for an hour or until the call ends. */
export async function* follow(
  { stream, hub }: { stream: ReturnType<typeof createEventStream>; hub: Hub },
  call: Call,
  { filter, from }: { filter: EventFilter; from: number },
): AsyncIterable<Followed> {
  const { tenantId } = call.caller;
  const time = () => call.clock().getTime();
  // Before the first look: what comes in between is not missed.
  const waiting = hub.watch(streamTopic(tenantId), call.signal);
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
