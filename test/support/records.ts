import { type Building, type Store, statement } from "../../src/db/store.ts";
import { events } from "../../src/events/events.table.ts";

const inOrder = statement((s: Building<Record<never, never>>) => {
  const t = s.table(events);
  return s.db.select().from(t).orderBy(t.eventId);
});

/** What happened, in order: each event's type and why a proof was refused. */
export const eventsOf = async (store: Store): Promise<string[]> =>
  (await store.read((tx) => tx.run(inOrder, {}))).map(({ type, failureReason }) => `${type} ${failureReason}`);
