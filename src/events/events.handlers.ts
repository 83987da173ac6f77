import { timestampDate } from "@bufbuild/protobuf/wkt";
import { EventType, type EventFilter as FilterMessage } from "../../gen/mfa/v1/event_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { Handlers } from "../core/handlers.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { START } from "../db/page.ts";
import type { Store } from "../db/store.ts";
import type { Notifier } from "../streams/notifier.ts";
import { toEvent } from "./event-message.ts";
import { ALL, createEventStream, cursorOf, type EventFilter } from "./event-stream.ts";
import type { EventRow } from "./events.repository.ts";
import { follow } from "./following.ts";

/** Dependencies of reading events. */
export interface EventOptions {
  readonly store: Store;
  readonly notifier: Notifier;
  readonly pageTokens: PageTokens;
}

const typeNames = EventType as unknown as Readonly<Record<number, EventRow["type"]>>;

const toFilter = (filter: FilterMessage | undefined, since = ALL.since): EventFilter => ({
  types: (filter?.types ?? []).flatMap((type) => typeNames[type] ?? []),
  userId: filter?.userId ?? "",
  since,
});

/** RPCs by which backends read events. */
export function createEventHandlers({ store, notifier, pageTokens }: EventOptions) {
  const stream = createEventStream(store);

  const internal = {
    listEvents: async ({ filter, afterCursor: cursor, startTime, pageSize, pageToken }, call) => {
      const { tenantId } = call.caller;
      const wanted = toFilter(filter, startTime && timestampDate(startTime));
      const scope = JSON.stringify([wanted, cursor]);
      const place = Number(pageTokens.read(call, pageToken, scope).id);
      const from = await stream.begin(tenantId, { place, cursor, since: wanted.since });
      const { events, place: reached, isEnd } = await stream.after(tenantId, wanted, from, pageSize || 50);
      const next = isEnd ? undefined : { ...START, id: String(reached) };
      return { events: events.map(toEvent), nextPageToken: pageTokens.write(call, next, scope) };
    },

    watchEvents: async function* ({ filter, afterCursor }, call) {
      const { tenantId } = call.caller;
      const now = await stream.end(tenantId);
      const from = afterCursor === "" ? now : await stream.placeOf(tenantId, afterCursor);
      yield { cursor: cursorOf(from, undefined) };
      for await (const { place, event } of follow({ stream, notifier }, call, { filter: toFilter(filter), from })) {
        yield { cursor: cursorOf(place, event), ...(event && { event: toEvent(event) }) };
      }
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}
