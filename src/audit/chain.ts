import type { AuditEntryRow } from "./audit-entries.repository.ts";
import type { AuditHeadRow } from "./audit-heads.repository.ts";

/** An entry before it has its hash. */
export type Unhashed = Omit<AuditEntryRow, "hash" | "sequence"> & { readonly sequence: number };

/** Makes or checks keyed hashes: the keyring's. */
export type Sign = (purpose: string, ...parts: readonly (string | Uint8Array)[]) => Buffer;
type Verifies = (mac: Uint8Array, purpose: string, ...parts: readonly (string | Uint8Array)[]) => boolean;

const ENTRY = "audit-entry/v1";
const HEAD = "audit-head/v1";
const FLOOR = "audit-floor/v1";

/** Every column but the hash, in one fixed order: whichever is altered, the hash is another. */
const textOf = (e: Unhashed) =>
  JSON.stringify([
    ...[e.tenantId, e.sequence, e.entryId, e.action, e.module, e.actorType, e.actorId, e.userId, e.targetType],
    ...[e.targetId, e.rpc, e.requestId, e.outcome, e.reason, e.ip, e.sealedIp?.toString("base64") ?? null],
    ...[e.before, e.after, e.createTime.toISOString()],
  ]);

/** The hash of an entry at its place: over the one before it too, so that none can be taken out or moved. */
export const entryHash = (sign: Sign, before: Uint8Array, entry: Unhashed): Buffer =>
  sign(ENTRY, before, textOf(entry));

/** Signs where a chain ends: whoever cuts its tail cannot say where it ends now. */
export const headMac = (
  sign: Sign,
  { tenantId, sequence, hash }: Pick<AuditHeadRow, "tenantId" | "sequence" | "hash">,
) => sign(HEAD, tenantId, String(sequence), hash);

/** Signs how much retention has forgotten. */
export const floorMac = (sign: Sign, tenantId: string, sequence: number, hash: Uint8Array): Buffer =>
  sign(FLOOR, tenantId, String(sequence), hash);

/** Whether the end of a chain is one that the service has written. */
export const isHeadOurs = (verifies: Verifies, { tenantId, sequence, hash, mac }: AuditHeadRow): boolean =>
  verifies(mac, HEAD, tenantId, String(sequence), hash);

/** Whether the beginning of a chain is one that the service has written. */
export const isFloorOurs = (
  verifies: Verifies,
  { tenantId, floorSequence, floorHash, floorMac: mac }: AuditHeadRow,
): boolean => floorSequence === 0 || verifies(mac, FLOOR, tenantId, String(floorSequence), floorHash);

/** Whether an entry stands where it was written, as it was written, after the one with the hash `before`. */
export const isEntryOurs = (verifies: Verifies, before: Uint8Array, { hash, ...entry }: AuditEntryRow): boolean =>
  entry.sequence !== null &&
  hash !== null &&
  verifies(hash, ENTRY, before, textOf({ ...entry, sequence: entry.sequence }));
