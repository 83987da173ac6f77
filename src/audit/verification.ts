import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { type AuditCheckpointRow, auditCheckpointRepository } from "./audit-checkpoints.repository.ts";
import { auditEntryRepository } from "./audit-entries.repository.ts";
import { auditHeadRepository } from "./audit-heads.repository.ts";
import { isEntryOurs, isFloorOurs, isHeadOurs } from "./chain.ts";
import { readCheckpoint } from "./checkpoints.ts";

/** What a check found. */
export interface Finding {
  readonly entryCount: number;
  /** The first entry missing or altered; 0 for none. */
  readonly firstBroken: number;
  readonly checkpoint: AuditCheckpointRow | undefined;
  readonly startHash: Uint8Array;
  readonly endHash: Uint8Array;
}

/** Which part of a chain to check, ends included; 0 stands for the chain's own. */
export interface Part {
  readonly tenantId: string;
  readonly start: number;
  readonly end: number;
  /** What to compare with, from elsewhere. */
  readonly checkpoint: AuditCheckpointRow | undefined;
}

/** Entries a unit: none of them keeps others waiting. */
const STEP = 500;
const NOTHING = Buffer.alloc(0);

/** The smallest place that is not 0. */
const first = (places: readonly number[]): number => places.filter((place) => place > 0).sort((a, b) => a - b)[0] ?? 0;

/** Checks chains of the audit trail, page by page, while entries are added. */
export function createVerification({ store, keyring }: { readonly store: Store; readonly keyring: Keyring }) {
  const { verifies } = keyring;
  const span = (tenantId: string, after: number, through: number, limit: number) =>
    store.read((tx) => auditEntryRepository(tx).listSpan({ tenantId, after, through, limit }));

  /** The newest of our own checkpoints, and whether we have signed it. */
  async function ownCheckpoint(tenantId: string) {
    const page = { tenantId, before: Number.MAX_SAFE_INTEGER, limit: 1 };
    const [row] = await store.read((tx) => auditCheckpointRepository(tx).list(page));
    if (!row) return { row, genuine: true };
    const stated = readCheckpoint(keyring, tenantId, row.token);
    return { row, genuine: stated?.sequence === row.sequence && stated.hash.equals(row.hash) };
  }

  /** What a checkpoint finds broken: a chain that ends before it, or another entry at its place. */
  async function against(tenantId: string, { sequence, hash }: AuditCheckpointRow, floor: number, head: number) {
    if (sequence > head) return head + 1;
    if (sequence <= floor) return 0;
    const [entry] = await span(tenantId, sequence - 1, sequence, 1);
    return entry?.hash?.equals(hash) ? 0 : sequence;
  }

  async function walk(tenantId: string, from: { after: number; hash: Uint8Array }, end: number, signal: AbortSignal) {
    let { after: place, hash } = from;
    while (place < end && !signal.aborted) {
      const rows = await span(tenantId, place, end, STEP);
      for (const row of rows) {
        const isNext = row.sequence === place + 1 && isEntryOurs(verifies, hash, row);
        if (!isNext) return { place, hash, broken: place + 1 };
        place += 1;
        hash = row.hash ?? NOTHING;
      }
      if (rows.length === 0) return { place, hash, broken: place + 1 };
    }
    return { place, hash, broken: 0 };
  }

  return async (part: Part, signal: AbortSignal): Promise<Finding> => {
    const { tenantId } = part;
    const head = await store.read((tx) => auditHeadRepository(tx).find(tenantId));
    const floor = { after: head?.floorSequence ?? 0, hash: head?.floorHash ?? NOTHING };
    const last = head?.sequence ?? 0;
    const own = await ownCheckpoint(tenantId);
    const checkpoint = part.checkpoint ?? own.row;

    const end = part.end === 0 ? last : Math.min(part.end, last);
    const after = Math.max(part.start - 1, floor.after);
    const [before] = after > floor.after ? await span(tenantId, after - 1, after, 1) : [];
    const from = after > floor.after ? { after, hash: before?.hash ?? NOTHING } : floor;
    const walked = await walk(tenantId, from, end, signal);

    const claims = [
      walked.broken,
      head && !isFloorOurs(verifies, head) ? 1 : 0,
      head && !isHeadOurs(verifies, head) ? last + 1 : 0,
      head && end === last && walked.place === last && !Buffer.from(walked.hash).equals(head.hash) ? last : 0,
      own.row && !own.genuine ? own.row.sequence : 0,
      checkpoint ? await against(tenantId, checkpoint, floor.after, last) : 0,
      own.row && checkpoint !== own.row ? await against(tenantId, own.row, floor.after, last) : 0,
      // Without its end a chain says nothing of itself.
      !head && (await span(tenantId, 0, Number.MAX_SAFE_INTEGER, 1)).length > 0 ? 1 : 0,
    ];
    return {
      entryCount: walked.place - from.after,
      firstBroken: first(claims),
      checkpoint,
      startHash: from.hash,
      endHash: walked.hash,
    };
  };
}
