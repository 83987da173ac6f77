import type { Keyring } from "../crypto/keyring.ts";
import { forEachTenant, inPages } from "../db/each-tenant.ts";
import type { Store } from "../db/store.ts";
import { auditEntryRepository } from "./audit-entries.repository.ts";
import { type AuditHeadRow, auditHeadRepository } from "./audit-heads.repository.ts";
import { floorMac, isEntryOurs, isFloorOurs } from "./chain.ts";
import { takeCheckpoint } from "./checkpoints.ts";
import { append } from "./trail.ts";

/** Dependencies of the audit tasks. */
export interface AuditUpkeepOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** How long a tenant's entries are kept. */
  readonly retentionMsOf: (tenantId: string) => Promise<number>;
}

/** Entries deleted in one unit. */
const STEP = 500;
const NOTHING = Buffer.alloc(0);

/**
 * The scheduled tasks of the audit trail: checkpoints and retention. Retention raises and signs the floor of a chain,
 * in one unit with the entry that records it; then it deletes the entries below, which the triggers allow from then on.
 */
export function createAuditUpkeep({ store, keyring, clock, retentionMsOf }: AuditUpkeepOptions) {
  const heads = () =>
    inPages(
      (after, size) => store.read((tx) => auditHeadRepository(tx).list(after, size)),
      ({ tenantId }) => tenantId,
    );

  /** The last entry to delete: the one before the first that is to stay, and never an altered one. */
  async function outdated({ tenantId, sequence, floorSequence, floorHash }: AuditHeadRow, since: Date) {
    const rows = await store.read(async (tx) => {
      const entries = auditEntryRepository(tx);
      const through = ((await entries.findFirstSince(tenantId, since)) ?? sequence + 1) - 1;
      return entries.listSpan({ tenantId, after: floorSequence, through, limit: STEP });
    });
    let hash: Uint8Array = floorHash;
    for (const [n, row] of rows.entries()) {
      // Altered entries are evidence and stay.
      if (row.sequence !== floorSequence + n + 1 || !isEntryOurs(keyring.verifies, hash, row)) return undefined;
      hash = row.hash ?? NOTHING;
    }
    const last = rows.at(-1);
    return last && { floorSequence: last.sequence ?? 0, floorHash: Buffer.from(hash), isAll: rows.length < STEP };
  }

  const deleteThrough = (tenantId: string, sequence: number) =>
    store.write((tx) => auditEntryRepository(tx).deleteThrough(tenantId, sequence));

  async function forgetOf(head: AuditHeadRow): Promise<{ count: number; more: boolean }> {
    const { tenantId } = head;
    const now = clock();
    const since = new Date(now.getTime() - (await retentionMsOf(tenantId)));
    const floor = await outdated(head, since);
    // Entries below the floor were left by an interrupted run; below a floor that the service did not sign they are evidence.
    const leaves = !floor && head.floorSequence > 0 && isFloorOurs(keyring.verifies, head);
    if (!floor) return { count: leaves ? await deleteThrough(tenantId, head.floorSequence) : 0, more: false };
    const { floorSequence, floorHash } = floor;
    const mac = floorMac(keyring.mac, tenantId, floorSequence, floorHash);
    await store.write(async (tx) => {
      const raised = await auditHeadRepository(tx).raiseFloor({ tenantId, floorSequence, floorHash, floorMac: mac });
      if (!raised) return;
      await append(tx, keyring.mac, {
        ...{ tenantId, userId: "", action: "audit.forgotten", targetType: "audit", targetId: tenantId },
        ...{ actorType: "UNSPECIFIED", actorId: "", isByUser: false, isFromUser: false, ip: "", rpc: "" },
        ...{ callId: "", outcome: "SUCCESS", reason: "retention", before: null, createTime: now },
        after: { throughSequence: floorSequence, olderThan: since.toISOString() },
      });
    });
    return { count: await deleteThrough(tenantId, floorSequence), more: !floor.isAll };
  }

  return {
    /** Makes a checkpoint of each chain that has grown since its last one; returns how many. */
    async checkpoint(): Promise<number> {
      let count = 0;
      await forEachTenant(heads(), async (head) => {
        if (await store.write((tx) => takeCheckpoint(tx, keyring, head, clock()))) count += 1;
      });
      return count;
    },
    /** Deletes entries older than their tenant's retention; returns how many. */
    async forget(): Promise<number> {
      let count = 0;
      await forEachTenant(heads(), async ({ tenantId }) => {
        for (let more = true; more; ) {
          const head = await store.read((tx) => auditHeadRepository(tx).find(tenantId));
          const forgotten = head && (await forgetOf(head));
          count += forgotten?.count ?? 0;
          more = forgotten?.more ?? false;
        }
      });
      return count;
    },
  };
}
