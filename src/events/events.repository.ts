import { type Building, statement, type Tx } from "../db/store.ts";
import { events } from "./events.table.ts";

/** A row of the table. */
export type EventRow = ReturnType<typeof events>["$inferSelect"];

const insert = statement((s: Building<EventRow>) => {
  const t = s.table(events);
  return s.db.insert(t).values(s.row(t)).returning({ eventId: t.eventId });
});

/** The outbox of events. */
export const eventRepository = (tx: Tx) => ({ insert: (row: EventRow) => tx.run(insert, row) });
