import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { auditEntryRepository } from "./audit-entries.repository.ts";
import { type AuditHeadRow, auditHeadRepository } from "./audit-heads.repository.ts";
import { floorMac, isEntryOurs, isFloorOurs } from "./chain.ts";
import { takeCheckpoint } from "./checkpoints.ts";
import { append } from "./trail.ts";

/** What the upkeep needs of the process. */
export interface AuditUpkeepOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** How long a tenant's entries are kept. */
  readonly retentionMsOf: (tenantId: string) => Promise<number>;
}

const TENANTS = 100;
/** Entries forgotten in one unit. */
const STEP = 500;
const NOTHING = Buffer.alloc(0);

/**
 * What is done about audit trails from time to time; any number of instances may do it at once. Checkpoints state where
 * chains stand. Retention forgets a chain from its beginning: first the floor is raised and signed, together with the
 * entry that says so, then what lies below is deleted, which the store allows from then on.
 */
export function createAuditUpkeep({ store, keyring, clock, retentionMsOf }: AuditUpkeepOptions) {
  async function* heads(): AsyncIterable<AuditHeadRow> {
    let after = "";
    for (;;) {
      const found = await store.read((tx) => auditHeadRepository(tx).list(after, TENANTS));
      yield* found;
      const last = found.at(-1);
      if (last === undefined || found.length < TENANTS) return;
      after = last.tenantId;
    }
  }

  /** The last entry that may go: the one before the first that is young enough, and never one that is altered. */
  async function outdated({ tenantId, sequence, floorSequence, floorHash }: AuditHeadRow, since: Date) {
    const rows = await store.read(async (tx) => {
      const entries = auditEntryRepository(tx);
      const through = ((await entries.findFirstSince(tenantId, since)) ?? sequence + 1) - 1;
      return entries.listSpan({ tenantId, after: floorSequence, through, limit: STEP });
    });
    let hash: Uint8Array = floorHash;
    for (const [n, row] of rows.entries()) {
      // Evidence is not cleaned up.
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
    // What lies below the floor already was left by a run that ended in between; below one that is not ours is evidence.
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
        ...{ requestId: "", outcome: "SUCCESS", reason: "retention", before: null, createTime: now },
        after: { throughSequence: floorSequence, olderThan: since.toISOString() },
      });
    });
    return { count: await deleteThrough(tenantId, floorSequence), more: !floor.isAll };
  }

  return {
    /** States where each chain stands, unless that is stated; answers how many were. */
    async checkpoint(): Promise<number> {
      let count = 0;
      for await (const head of heads()) {
        if (await store.write((tx) => takeCheckpoint(tx, keyring, head, clock()))) count += 1;
      }
      return count;
    },
    /** Forgets entries that are older than their tenant keeps them; answers how many. */
    async forget(): Promise<number> {
      let count = 0;
      for await (const { tenantId } of heads()) {
        for (let more = true; more; ) {
          const head = await store.read((tx) => auditHeadRepository(tx).find(tenantId));
          const forgotten = head && (await forgetOf(head));
          count += forgotten?.count ?? 0;
          more = forgotten?.more ?? false;
        }
      }
      return count;
    },
  };
}
