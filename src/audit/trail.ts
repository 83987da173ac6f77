import { newId } from "../core/id.ts";
import { decrypt, encrypt, SealBroken } from "../crypto/aead.ts";
import { holdKey } from "../crypto/derive.ts";
import { frame } from "../crypto/framing.ts";
import { bearerId, randomSecret } from "../crypto/random.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type AuditEntryRow, auditEntryRepository, type NamedEntry } from "./audit-entries.repository.ts";
import { auditHeadRepository } from "./audit-heads.repository.ts";
import { type AuditSubjectRow, auditSubjectRepository } from "./audit-subjects.repository.ts";
import { entryHash, headMac, type Sign } from "./chain.ts";

/** An entry before it is stored: with the user's own id and the address in plain text. */
export type Draft = Omit<AuditEntryRow, "entryId" | "sequence" | "hash" | "module" | "sealedIp"> & {
  /** Whether the actor is the user concerned, so that the name is the user's. */
  readonly isByUser: boolean;
  /** Whether the address is the user's. */
  readonly isFromUser: boolean;
  /** Names the user only if the trail has a pseudonym for them: a refused call must not add an erased user again. */
  readonly namesKnownOnly?: boolean;
};

const KEY_BYTES = 32;

const place = (tenantId: string, entryId: string) => frame("audit-ip/v1", tenantId, entryId);

async function userOf(tx: Tx, owner: Owner): Promise<AuditSubjectRow> {
  const subjects = auditSubjectRepository(tx);
  const known = await subjects.find(owner);
  if (known) return known;
  const { tenantId, userId } = owner;
  const made = { tenantId, userId, pseudonym: bearerId(), key: randomSecret(KEY_BYTES) };
  await subjects.put(made);
  return made;
}

/** The subject of an action: "totp" of "totp.enrolled". */
export const subjectOf = (action: string): string => action.split(".", 1)[0] ?? "";

/** In the form that the store returns, so that the hash is the same later. */
const asStored = <T>(json: T): T => (json === null ? json : JSON.parse(JSON.stringify(json)));

/** Makes the entry of a draft at a sequence number, after the entry with the given hash. */
function entryOf(
  sign: Sign,
  draft: Draft,
  {
    sequence,
    before: previous,
    subject,
  }: { sequence: number; before: Uint8Array; subject: AuditSubjectRow | undefined },
) {
  const { isByUser, isFromUser, namesKnownOnly: _, ip, before, after, ...act } = draft;
  const { tenantId } = act;
  const entryId = newId();
  const kept = (id: string) => (subject && id === act.userId ? subject.pseudonym : id);
  // A damaged key must not stop the act; the address is left out then.
  const seals = subject?.key.length === KEY_BYTES && isFromUser && ip !== "";
  const entry = {
    ...act,
    entryId,
    sequence,
    module: subjectOf(act.action),
    userId: subject?.pseudonym ?? "",
    targetId: kept(act.targetId),
    actorId: isByUser ? kept(act.actorId) : act.actorId,
    ip: isFromUser && subject ? "" : ip,
    sealedIp: seals ? encrypt(holdKey(Buffer.from(subject.key)), Buffer.from(ip), place(tenantId, entryId)) : null,
    before: asStored(before),
    after: asStored(after),
  };
  return { ...entry, hash: entryHash(sign, previous, entry) };
}

/** Makes an entry the head of its chain. */
async function endAt(tx: Tx, sign: Sign, { tenantId, sequence, hash }: ReturnType<typeof entryOf>): Promise<void> {
  const end = { tenantId, sequence, hash };
  await auditHeadRepository(tx).end({ ...end, mac: headMac(sign, end) });
}

/** Appends an entry to its tenant's chain in the unit of the act. It locks the chain until the unit ends. */
export async function append(tx: Tx, sign: Sign, draft: Draft): Promise<void> {
  // The first lock of all: units that each held another part of the trail would deadlock.
  const head = await auditHeadRepository(tx).advance(draft.tenantId);
  const find = draft.namesKnownOnly ? auditSubjectRepository(tx).find : (owner: Owner) => userOf(tx, owner);
  const subject = draft.userId === "" ? undefined : await find(draft);
  const entry = entryOf(sign, draft, { sequence: head.sequence, before: head.hash, subject });
  await auditEntryRepository(tx).insert(entry);
  await endAt(tx, sign, entry);
}

/** Appends entries about users of one tenant in this order, in few statements. */
export async function appendAll(tx: Tx, sign: Sign, tenantId: string, drafts: readonly Draft[]): Promise<void> {
  if (drafts.length === 0) return;
  const head = await auditHeadRepository(tx).advance(tenantId, drafts.length);
  const userIds = [...new Set(drafts.map(({ userId }) => userId))].filter((userId) => userId !== "");
  const known = await auditSubjectRepository(tx).listOf({ tenantId, userIds });
  const unknown = userIds.filter((userId) => !known.some((subject) => subject.userId === userId));
  const made = unknown.map((userId) => ({ tenantId, userId, pseudonym: bearerId(), key: randomSecret(32) }));
  await auditSubjectRepository(tx).putAll(made);
  const subjects = new Map([...known, ...made].map((subject) => [subject.userId, subject]));
  const entries: ReturnType<typeof entryOf>[] = [];
  for (const [n, draft] of drafts.entries()) {
    const sequence = head.sequence - drafts.length + 1 + n;
    const before = entries.at(-1)?.hash ?? head.hash;
    entries.push(entryOf(sign, draft, { sequence, before, subject: subjects.get(draft.userId) }));
  }
  await auditEntryRepository(tx).insertAll(entries);
  const last = entries.at(-1);
  if (last) await endAt(tx, sign, last);
}

/**
 * Decrypts an address; returns an empty text where the user's key or the entry was altered. Verification reports the
 * latter.
 */
function openIp(key: Buffer, sealed: Buffer, associated: Buffer): string {
  if (key.length !== KEY_BYTES) return "";
  try {
    return decrypt(holdKey(Buffer.from(key)), sealed, associated).toString();
  } catch (error) {
    if (error instanceof SealBroken) return "";
    throw error;
  }
}

/** Fills in the names that pseudonyms stand for. */
export function named({ entry, subject }: NamedEntry): AuditEntryRow {
  if (!subject) return entry;
  const nameOf = (id: string) => (id === entry.userId ? subject.userId : id);
  const { sealedIp, tenantId, entryId } = entry;
  return {
    ...entry,
    userId: subject.userId,
    targetId: nameOf(entry.targetId),
    actorId: nameOf(entry.actorId),
    ip: sealedIp ? openIp(subject.key, sealedIp, place(tenantId, entryId)) : entry.ip,
  };
}
