import type { Call } from "../core/call.ts";
import { HIGHEST_SEQUENCE } from "../db/append-only.ts";
import type { Store } from "../db/store.ts";
import { auditEntryRepository } from "./audit-entries.repository.ts";
import { type AuditHeadRow, auditHeadRepository } from "./audit-heads.repository.ts";
import { headMac, isCountable } from "./chain.ts";
import { recordAudit } from "./changes.ts";

/** What a repair has moved: places of entries, 0 where nothing was in the way. */
export interface Repaired {
  readonly first: number;
  readonly last: number;
  /** The entry that says so. */
  readonly sequence: number;
}

/** How far behind the end strange entries are looked for: more calls than a tenant makes for a long time. */
const REACH = 1_000_000;
const NOTHING = Buffer.alloc(0);

/**
 * Has a chain go on behind entries that somebody else wrote past its end, where the next one belongs. They stay, and the
 * chain stays broken at the first of them: what comes from here on is a chain again, beginning with the hash of the last.
 * A head that cannot be the service's (negative, no number, beyond every count) is put back behind the last entry.
 */
export function createRepair(store: Store) {
  /** The hash that the next entry builds on, as `verification.ts` takes it too; of an entry that cannot be read none. */
  const hashAt = (tenantId: string, sequence: number): Promise<Buffer> =>
    store
      .read((tx) => auditEntryRepository(tx).listSpan({ tenantId, after: sequence - 1, through: sequence, limit: 1 }))
      .then(([entry]) => entry?.hash ?? NOTHING)
      .catch(() => NOTHING);

  /** Puts an impossible head back behind the last of the entries. */
  async function restore(call: Call, reason: string, head: AuditHeadRow): Promise<Repaired> {
    const { tenantId } = call.caller;
    const last = await store.read((tx) => auditEntryRepository(tx).lastSequence(tenantId, HIGHEST_SEQUENCE));
    const end = { tenantId, sequence: last, hash: last > 0 ? await hashAt(tenantId, last) : NOTHING };
    return call.unit(async (tx) => {
      await auditHeadRepository(tx).restore({ ...end, mac: headMac(call.sign, end) });
      await recordAudit(tx, call, {
        ...{ owner: { tenantId, userId: "" }, action: "audit.repaired", targetId: tenantId, reason },
        before: { head: String(head.sequence) },
        after: { head: String(last) },
      });
      return { first: 0, last: 0, sequence: last + 1 };
    });
  }

  return async (call: Call, reason: string): Promise<Repaired> => {
    const { tenantId } = call.caller;
    const head = await store.read((tx) => auditHeadRepository(tx).find(tenantId));
    if (head && !isCountable(head.sequence)) return restore(call, reason, head);
    const { end, last } = await store.read(async (tx) => {
      const known = (await auditHeadRepository(tx).find(tenantId))?.sequence ?? 0;
      const last = await auditEntryRepository(tx).lastSequence(tenantId, known + REACH);
      // Once more, as the chain may have grown to there meanwhile.
      return { end: (await auditHeadRepository(tx).find(tenantId))?.sequence ?? 0, last };
    });
    const isInTheWay = last > end;
    const hash = isInTheWay ? await hashAt(tenantId, last) : NOTHING;
    const [first, through] = isInTheWay ? [end + 1, last] : [0, 0];
    return call.unit(async (tx) => {
      const heads = auditHeadRepository(tx);
      const moved = { tenantId, sequence: last, hash };
      if (isInTheWay) await heads.passBy({ ...moved, mac: headMac(call.sign, moved) });
      await recordAudit(tx, call, {
        ...{ owner: { tenantId, userId: "" }, action: "audit.repaired", targetId: tenantId, reason },
        after: { firstForeignSequence: first, lastForeignSequence: through },
      });
      return { first, last: through, sequence: (await heads.find(tenantId))?.sequence ?? 0 };
    });
  };
}
