import { HIGHEST_SEQUENCE } from "../db/append-only.ts";
import type { AuditEntryRow } from "./audit-entries.repository.ts";
import type { AuditHeadRow } from "./audit-heads.repository.ts";

/** An entry before it has its hash. */
export type Unhashed = Omit<AuditEntryRow, "hash" | "sequence"> & { readonly sequence: number };

/** The keyring's part that makes and verifies keyed hashes. */
export type Sign = (purpose: string, ...parts: readonly (string | Uint8Array)[]) => Buffer;
type Verifies = (mac: Uint8Array, purpose: string, ...parts: readonly (string | Uint8Array)[]) => boolean;

const ENTRY = "audit-entry/v1";
const HEAD = "audit-head/v1";
const FLOOR = "audit-floor/v1";

/** Whether a head can stand at a sequence number, whatever was written there. */
export const isCountable = (sequence: number): boolean =>
  Number.isSafeInteger(sequence) && sequence >= 0 && sequence <= HIGHEST_SEQUENCE;

/** Every column but the hash, in one fixed order, so that a change of any column changes the hash. */
const textOf = (e: Unhashed) =>
  JSON.stringify([
    ...[e.tenantId, e.sequence, e.entryId, e.action, e.module, e.actorType, e.actorId, e.userId, e.targetType],
    ...[e.targetId, e.rpc, e.callId, e.outcome, e.reason, e.ip, e.sealedIp?.toString("base64") ?? null],
    ...[e.before, e.after, e.createTime.toISOString()],
  ]);

/**
 * The hash of an entry at its sequence number. It covers the previous hash, so that no entry can be removed or moved.
 */
export const entryHash = (sign: Sign, before: Uint8Array, entry: Unhashed): Buffer =>
  sign(ENTRY, before, textOf(entry));

/** MAC over the head of a chain: a truncated chain cannot be given a valid head. */
export const headMac = (
  sign: Sign,
  { tenantId, sequence, hash }: Pick<AuditHeadRow, "tenantId" | "sequence" | "hash">,
) => sign(HEAD, tenantId, String(sequence), hash);

/** MAC over the floor of a chain: what retention deleted. */
export const floorMac = (sign: Sign, tenantId: string, sequence: number, hash: Uint8Array): Buffer =>
  sign(FLOOR, tenantId, String(sequence), hash);

/** Whether the service wrote the head of a chain. */
export const isHeadOurs = (verifies: Verifies, { tenantId, sequence, hash, mac }: AuditHeadRow): boolean =>
  verifies(mac, HEAD, tenantId, String(sequence), hash);

/** Whether the service wrote the floor of a chain. */
export const isFloorOurs = (
  verifies: Verifies,
  { tenantId, floorSequence, floorHash, floorMac: mac }: AuditHeadRow,
): boolean => floorSequence === 0 || verifies(mac, FLOOR, tenantId, String(floorSequence), floorHash);

/** Whether an entry is unchanged, at its own sequence number, after the entry with the hash `before`. */
export const isEntryOurs = (verifies: Verifies, before: Uint8Array, { hash, ...entry }: AuditEntryRow): boolean =>
  entry.sequence !== null &&
  hash !== null &&
  // The service never writes an unreadable time.
  !Number.isNaN(entry.createTime.getTime()) &&
  verifies(hash, ENTRY, before, textOf({ ...entry, sequence: entry.sequence }));
