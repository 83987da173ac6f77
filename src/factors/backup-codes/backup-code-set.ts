import { newId } from "../../core/id.ts";
import { drawRecoveryCode, type RecoveryCode, showRecoveryCode } from "../../crypto/recovery-code.ts";
import type { RecoveryCodeHash } from "../../crypto/recovery-code-hash.ts";
import type { Owner, Tx } from "../../db/store.ts";
import {
  type BackupCodeRow,
  type BackupCodeSetRow,
  backupCodeRepository,
  backupCodeSetRepository,
  type Lowness,
} from "./backup-codes.repository.ts";

/** A set that is drawn and hashed and not stored yet. The only place where its codes can be read. */
export interface DrawnSet {
  readonly setId: string;
  /** As they are shown. */
  readonly codes: readonly string[];
  readonly rows: readonly BackupCodeRow[];
  readonly row: BackupCodeSetRow;
}

/** How long a set waits for its confirmation. */
const PENDING_MS = 10 * 60 * 1000;

/** Codes of which no two have the same selector. */
function draw(count: number): RecoveryCode[] {
  const drawn = new Map<string, RecoveryCode>();
  while (drawn.size < count) {
    const code = drawRecoveryCode();
    drawn.set(code.selector, code);
  }
  return [...drawn.values()];
}

/** Draws a set. One derivation a code, so outside of units. */
export async function drawSet(
  hash: RecoveryCodeHash,
  owner: Owner,
  { count, pepperId, now }: { count: number; pepperId: string; now: Date },
): Promise<DrawnSet> {
  const place = hash.enter(count);
  try {
    const setId = newId();
    const codes = draw(count);
    const rows: BackupCodeRow[] = [];
    // One after the other, so that others get their turn in between.
    for (const code of codes) {
      const hashed = await hash.hash(code, { ...owner, setId });
      const { selector } = code;
      rows.push({ ...owner, setId, codeId: newId(), selector, ...hashed, createTime: now, useTime: null });
    }
    const row: BackupCodeSetRow = {
      ...{ ...owner, setId, state: "active", total: count, remaining: count, pepperId, createTime: now },
      ...{ confirmTime: null, lastUseTime: null, lowTime: null, expireTime: null },
    };
    return { setId, codes: codes.map(showRecoveryCode), rows, row };
  } finally {
    place.leave();
  }
}

/** Stores a drawn set in the place of an older one of its state: in force, or waiting. */
export async function storeSet(tx: Tx, { row, rows }: DrawnSet, state: BackupCodeSetRow["state"]) {
  const sets = backupCodeSetRepository(tx);
  const { userId, tenantId, createTime } = row;
  await sets.delete({ tenantId, userId }, "pending");
  if (state === "active") await sets.delete({ tenantId, userId }, "active");
  const expireTime = state === "pending" ? new Date(createTime.getTime() + PENDING_MS) : null;
  const stored = { ...row, state, expireTime };
  await sets.insert(stored);
  for (const code of rows) await backupCodeRepository(tx).insert(code);
  return stored;
}

/** Whether few enough are left that a new set is due, or its pepper is to be retired. Never of a set that is untouched. */
export const isLow = ({ remaining, total, pepperId }: BackupCodeSetRow, due: Lowness): boolean =>
  (remaining <= due.threshold && remaining < total) || pepperId !== due.pepperId;
