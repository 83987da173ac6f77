import { auditEntries } from "../../src/audit/audit-entries.table.ts";
import type { Store } from "../../src/db/store.ts";
import { events } from "../../src/events/events.table.ts";
import { rowsIn } from "./rows.ts";

/** What happened, in order: each event's type and why a proof was refused. */
export const eventsOf = async (store: Store): Promise<string[]> =>
  (await rowsIn(store, events)).map(({ type, failureReason }) => `${type} ${failureReason}`);

/** What was done, in order, without what was refused. */
export const changesOf = async (store: Store) =>
  (await rowsIn(store, auditEntries)).filter(({ outcome }) => outcome === "SUCCESS");
