import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { auditCheckpointRepository } from "./audit-checkpoints.repository.ts";
import { type AuditEntryRow, auditEntryRepository, type EntryFilter } from "./audit-entries.repository.ts";
import { auditHeadRepository } from "./audit-heads.repository.ts";
import { recordAudit } from "./changes.ts";
import { readCheckpoint } from "./checkpoints.ts";
import { createRepair } from "./repair.ts";
import { named } from "./trail.ts";
import { createVerification, type Finding } from "./verification.ts";

/** Dependencies of the audit trail. */
export interface AuditOptions {
  readonly store: Store;
  readonly keyring: Keyring;
}

/** The filter of a list of entries. */
export type Filter = Omit<EntryFilter, "tenantId" | "after" | "before" | "limit">;

/** Entries read in one unit: the search for a rare action in a long trail must not block writers. */
const WINDOW = 5_000;
/** Units that one call reads before it returns what it found and a page token. */
const WINDOWS = 100;

/** The audit trail as administrators read it. Each reading is itself recorded. */
export function createAudit({ store, keyring }: AuditOptions) {
  const verification = createVerification({ store, keyring });
  const repair = createRepair(store);
  const bounds = async (tenantId: string) => {
    const head = await store.read((tx) => auditHeadRepository(tx).find(tenantId));
    return { first: (head?.floorSequence ?? 0) + 1, last: head?.sequence ?? 0 };
  };

  const record = (call: Call, action: string, after: Readonly<Record<string, unknown>>) =>
    call.unit((tx) => {
      const { tenantId } = call.caller;
      return recordAudit(tx, call, { owner: { tenantId, userId: "" }, action, targetId: tenantId, after });
    });

  /**
   * Returns a page of entries after a sequence number (0: from the start), and the number after which the next page
   * starts (0: no more).
   */
  async function page(tenantId: string, filter: Filter, size: number, from: number, order: "oldest" | "newest") {
    const { first, last } = await bounds(tenantId);
    const rows: AuditEntryRow[] = [];
    const step = order === "oldest" ? 1 : -1;
    let place = from || (order === "oldest" ? first - 1 : last + 1);
    for (let n = 0; n < WINDOWS && (order === "oldest" ? place < last : place > first); n += 1) {
      const edge = place + step * (WINDOW + 1);
      const window = order === "oldest" ? { after: place, before: edge } : { after: edge, before: place };
      const limit = size - rows.length;
      const found = await store.read((tx) =>
        auditEntryRepository(tx).list({ ...filter, tenantId, ...window, limit }, order),
      );
      rows.push(...found.map(named));
      place = found.length === limit ? (found.at(-1)?.entry.sequence ?? 0) : edge - step;
      if (rows.length === size) break;
    }
    const isEnd = order === "oldest" ? place >= last : place <= first;
    return { rows, next: isEnd ? 0 : place };
  }

  return {
    /** Returns a page of entries and records the reading. */
    async list(
      call: Call,
      filter: Filter,
      { size, from, order }: { size: number; from: number; order: "oldest" | "newest" },
    ) {
      const found = await page(call.caller.tenantId, filter, size, from, order);
      await record(call, "audit.listed", { count: found.rows.length });
      return found;
    },

    /** Streams every present entry, oldest first, in pages; the reading is recorded before the first page. */
    async *export(call: Call, filter: Filter, after: number): AsyncIterable<AuditEntryRow[]> {
      const { tenantId } = call.caller;
      await record(call, "audit.exported", { afterSequence: after });
      const { last } = await bounds(tenantId);
      let from = after;
      do {
        const { rows, next } = await page(tenantId, filter, 250, from, "oldest");
        const due = rows.filter(({ sequence }) => (sequence ?? 0) <= last);
        if (due.length > 0) yield due;
        from = next;
      } while (from !== 0 && from < last && !call.signal.aborted);
    },

    /** Verifies the chain and records the result. */
    async verify(
      call: Call,
      { token, ...asked }: { start: number; end: number; token: string },
    ): Promise<Finding | Refusal> {
      const { tenantId } = call.caller;
      const checkpoint = token === "" ? undefined : readCheckpoint(keyring, tenantId, token);
      if (token !== "" && !checkpoint) return new Refusal("INVALID_FIELD", { metadata: { field: "checkpoint" } });
      const finding = await verification({ tenantId, ...asked, checkpoint }, call.signal);
      // The verification was cancelled, so there is no result.
      if (call.signal.aborted) return new Refusal("DEADLINE");
      const { entryCount, firstBroken } = finding;
      const recorded = record(call, "audit.verified", { entryCount, firstBroken });
      // A broken chain may refuse a further entry; the caller still gets the result.
      await (firstBroken === 0 ? recorded : recorded.catch(() => {}));
      return finding;
    },

    /** Lets the chain continue after foreign entries. */
    repair,

    /** Checkpoints before a sequence number, newest first. */
    checkpoints: (call: Call, before: number, limit: number) =>
      call.unit((tx) => auditCheckpointRepository(tx).list({ tenantId: call.caller.tenantId, before, limit })),
  };
}
