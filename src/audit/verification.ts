import { createTurnTaking } from "../core/turn-taking.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { HIGHEST_SEQUENCE } from "../db/append-only.ts";
import { type Store, StoreConflict, StoreUnavailable } from "../db/store.ts";
import { type AuditCheckpointRow, auditCheckpointRepository } from "./audit-checkpoints.repository.ts";
import { type AuditEntryRow, auditEntryRepository } from "./audit-entries.repository.ts";
import { auditHeadRepository } from "./audit-heads.repository.ts";
import { isCountable, isEntryOurs, isFloorOurs, isHeadOurs } from "./chain.ts";
import { readCheckpoint } from "./checkpoints.ts";

/** The result of a verification. */
export interface Finding {
  readonly entryCount: number;
  /** The sequence number of the first missing or altered entry; 0 for none. */
  readonly firstBroken: number;
  readonly checkpoint: AuditCheckpointRow | undefined;
  readonly startHash: Uint8Array;
  readonly endHash: Uint8Array;
}

/** The sequence numbers to verify, inclusive; 0 stands for the chain's own floor or head. */
export interface ChainRange {
  readonly tenantId: string;
  readonly start: number;
  readonly end: number;
  /** A checkpoint that was kept outside of the database. */
  readonly checkpoint: AuditCheckpointRow | undefined;
}

/** Entries read in one unit, so that verification does not block writers. */
const STEP = 250;
const NOTHING = Buffer.alloc(0);

/** Whether the store failed, rather than its content. */
const isOutage = (error: unknown) => error instanceof StoreUnavailable || error instanceof StoreConflict;

/** The smallest place that is not 0. */
const first = (places: readonly number[]): number => places.filter((place) => place > 0).sort((a, b) => a - b)[0] ?? 0;

/** Verifies chains page by page, while entries are appended. */
export function createVerification({ store, keyring }: { readonly store: Store; readonly keyring: Keyring }) {
  const { verifies } = keyring;
  const span = (tenantId: string, after: number, through: number, limit: number) =>
    store.read((tx) => auditEntryRepository(tx).listSpan({ tenantId, after, through, limit }));

  const headOf = (tenantId: string) => store.read((tx) => auditHeadRepository(tx).find(tenantId));

  /** The entries up to the first that cannot be decoded, since a column holds a value of the wrong type. */
  async function readable(tenantId: string, after: number, through: number): Promise<AuditEntryRow[]> {
    try {
      return await span(tenantId, after, through, STEP);
    } catch (error) {
      if (isOutage(error)) throw error;
    }
    const rows: AuditEntryRow[] = [];
    for (let place = after; place < through && rows.length < STEP; place += 1) {
      try {
        const [row] = await span(tenantId, place, through, 1);
        if (row?.sequence !== place + 1) return rows;
        rows.push(row);
      } catch (error) {
        if (isOutage(error)) throw error;
        return rows;
      }
    }
    return rows;
  }

  /** The newest of our own checkpoints, and whether we have signed it. */
  async function ownCheckpoint(tenantId: string) {
    const page = { tenantId, before: Number.MAX_SAFE_INTEGER, limit: 1 };
    const [row] = await store.read((tx) => auditCheckpointRepository(tx).list(page));
    if (!row) return { row, genuine: true };
    const stated = readCheckpoint(keyring, tenantId, row.token);
    return { row, genuine: stated?.sequence === row.sequence && stated.hash.equals(row.hash) };
  }

  /**
   * The sequence number at which a checkpoint contradicts the chain: the chain ends before it, or has another entry
   * there.
   */
  async function against(tenantId: string, { sequence, hash }: AuditCheckpointRow, last: number) {
    if (sequence > last) return last + 1;
    const [entry] = await readable(tenantId, sequence - 1, sequence);
    if (entry?.hash?.equals(hash)) return 0;
    // Read last, since retention may have run meanwhile.
    const floor = (await headOf(tenantId))?.floorSequence ?? 0;
    return sequence <= floor ? 0 : sequence;
  }

  /** The present floor of the chain, if retention has run since it was at `place`. */
  async function movedOn(tenantId: string, place: number, hash: Uint8Array) {
    const head = await headOf(tenantId);
    if (!head || !isFloorOurs(verifies, head) || head.floorSequence < place) return undefined;
    if (head.floorSequence === place && head.floorHash.equals(hash)) return undefined;
    return { place: head.floorSequence, hash: head.floorHash };
  }

  /** The sequence number after the head, if a foreign entry has it. */
  async function behind(tenantId: string, last: number) {
    const next = await store.read((tx) => auditEntryRepository(tx).lastSequence(tenantId, last + 1));
    // Read last: the chain itself may have grown to it meanwhile.
    return next > ((await headOf(tenantId))?.sequence ?? 0) ? next : 0;
  }

  async function walk(tenantId: string, from: { after: number; hash: Uint8Array }, end: number, signal: AbortSignal) {
    const takeTurn = createTurnTaking();
    let { after: place, hash } = from;
    let count = 0;
    while (place < end && !signal.aborted) {
      const rows = await readable(tenantId, place, end);
      const reached = place;
      for (const row of rows) {
        await takeTurn();
        if (row.sequence !== place + 1 || !isEntryOurs(verifies, hash, row)) break;
        place += 1;
        count += 1;
        hash = row.hash ?? NOTHING;
      }
      if (place === end || (place > reached && place - reached === rows.length)) continue;
      // Read again before the chain is called broken: retention may have deleted the entry.
      const moved = await movedOn(tenantId, place, hash);
      if (!moved) return { place, hash, count, broken: place + 1 };
      ({ place, hash } = moved);
    }
    return { place, hash, count, broken: 0 };
  }

  return async (part: ChainRange, signal: AbortSignal): Promise<Finding> => {
    const { tenantId } = part;
    // Read before the head: a checkpoint made meanwhile does not mean that the chain ends too early.
    const own = await ownCheckpoint(tenantId);
    const head = await headOf(tenantId);
    const floor = { after: head?.floorSequence ?? 0, hash: head?.floorHash ?? NOTHING };
    const last = !head || isCountable(head.sequence) ? (head?.sequence ?? 0) : HIGHEST_SEQUENCE;
    const checkpoint = part.checkpoint ?? own.row;

    const end = part.end === 0 ? last : Math.min(part.end, last);
    const after = Math.max(part.start - 1, floor.after);
    const [before] = after > floor.after ? await readable(tenantId, after - 1, after) : [];
    const from = after > floor.after ? { after, hash: before?.hash ?? NOTHING } : floor;
    const walked = await walk(tenantId, from, end, signal);

    const claims = [
      walked.broken,
      head && !isFloorOurs(verifies, head) ? 1 : 0,
      head && !isHeadOurs(verifies, head) ? last + 1 : 0,
      head && end === last && walked.place === last && !Buffer.from(walked.hash).equals(head.hash) ? last : 0,
      own.row && !own.genuine ? own.row.sequence : 0,
      checkpoint ? await against(tenantId, checkpoint, last) : 0,
      own.row && checkpoint !== own.row ? await against(tenantId, own.row, last) : 0,
      // Without its head nothing can be said of a chain.
      !head && (await readable(tenantId, 0, Number.MAX_SAFE_INTEGER)).length > 0 ? 1 : 0,
      // An entry after the head was not written by the service, unless the chain has grown meanwhile.
      head && end === last ? await behind(tenantId, last) : 0,
    ];
    return {
      entryCount: walked.count,
      firstBroken: first(claims),
      checkpoint,
      startHash: from.hash,
      endHash: walked.hash,
    };
  };
}
