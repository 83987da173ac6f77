import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { auditCheckpointRepository } from "./audit-checkpoints.repository.ts";
import { type AuditEntryRow, auditEntryRepository, type Wanted } from "./audit-entries.repository.ts";
import { auditHeadRepository } from "./audit-heads.repository.ts";
import { recordAudit } from "./changes.ts";
import { readCheckpoint } from "./checkpoints.ts";
import { named } from "./trail.ts";
import { createVerification, type Finding } from "./verification.ts";

/** What the audit trail needs of the process. */
export interface AuditOptions {
  readonly store: Store;
  readonly keyring: Keyring;
}

/** Which entries somebody asks for. */
export type Filter = Omit<Wanted, "tenantId" | "after" | "before" | "limit">;

/** Entries that one unit looks through: a rare action in a long trail must not keep others waiting. */
const WINDOW = 5_000;
/** Windows that one call looks through before it answers with what it has, and where to go on. */
const WINDOWS = 100;

/** The audit trail as administrators read it. Reading it is in it too. */
export function createAudit({ store, keyring }: AuditOptions) {
  const verification = createVerification({ store, keyring });
  const bounds = async (tenantId: string) => {
    const head = await store.read((tx) => auditHeadRepository(tx).find(tenantId));
    return { first: (head?.floorSequence ?? 0) + 1, last: head?.sequence ?? 0 };
  };

  const record = (call: Call, action: string, after: Readonly<Record<string, unknown>>) =>
    call.unit((tx) => {
      const { tenantId } = call.caller;
      return recordAudit(tx, call, { owner: { tenantId, userId: "" }, action, targetId: tenantId, after });
    });

  /** A page of entries behind a place (0 begins), and the place behind which the next page begins (0 ends). */
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
    /** A page of entries; the reading is recorded. */
    async list(
      call: Call,
      filter: Filter,
      { size, from, order }: { size: number; from: number; order: "oldest" | "newest" },
    ) {
      const found = await page(call.caller.tenantId, filter, size, from, order);
      await record(call, "audit.listed", { count: found.rows.length });
      return found;
    },

    /** Every entry that is there by now, oldest first, in pages; recorded before the first. */
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

    /** Checks the chain; what was found is recorded. */
    async verify(
      call: Call,
      { token, ...asked }: { start: number; end: number; token: string },
    ): Promise<Finding | Refusal> {
      const { tenantId } = call.caller;
      const checkpoint = token === "" ? undefined : readCheckpoint(keyring, tenantId, token);
      if (token !== "" && !checkpoint) return new Refusal("INVALID_FIELD", { metadata: { field: "checkpoint" } });
      const finding = await verification({ tenantId, ...asked, checkpoint }, call.signal);
      // It was given up, and has found nothing.
      if (call.signal.aborted) return new Refusal("DEADLINE");
      const { entryCount, firstBroken } = finding;
      const recorded = record(call, "audit.verified", { entryCount, firstBroken });
      // A chain that is broken may not take another entry; who asked must hear of it all the same.
      await (firstBroken === 0 ? recorded : recorded.catch(() => {}));
      return finding;
    },

    /** Checkpoints before a place, newest first. */
    checkpoints: (call: Call, before: number, limit: number) =>
      call.unit((tx) => auditCheckpointRepository(tx).list({ tenantId: call.caller.tenantId, before, limit })),
  };
}
