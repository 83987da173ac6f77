import { auditEntries } from "../../../src/audit/audit-entries.table.ts";
import type { Store } from "../../../src/db/store.ts";
import type { EventRow } from "../../../src/events/events.repository.ts";
import { events } from "../../../src/events/events.table.ts";
import { rowsIn } from "../engine/rows.ts";

/** What happened, in order: each event's type and why a proof was refused. */
export const eventsOf = async (store: Store): Promise<string[]> =>
  (await rowsIn(store, events)).map(({ type, failureReason }) => `${type} ${failureReason}`);

/** What was done, in order, without what was refused. */
export const changesOf = async (store: Store) =>
  (await rowsIn(store, auditEntries)).filter(({ outcome }) => outcome === "SUCCESS");

/** The n-th event of a test, of a code that was tried, without a place in the stream yet. */
export const proofEvent = (
  n: number,
  { userId, createTime, type = "PROOF_FAILED" }: { userId: string; createTime: Date; type?: EventRow["type"] },
): EventRow => ({
  ...{ tenantId: "dev", userId, type, position: null, factorType: "TOTP", failureReason: "WRONG" },
  ...{ attemptsRemaining: 0, factorId: "", rpc: "", ip: "", userAgent: "", application: "" },
  ...{ actorType: "USER", actorId: "", mfaEpoch: 0, challengeDigest: "", createTime },
  eventId: `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`,
});
