import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import { decrypt, encrypt } from "../crypto/aead.ts";
import { holdKey } from "../crypto/derive.ts";
import { frame } from "../crypto/framing.ts";
import { bearerId, randomSecret } from "../crypto/random.ts";
import type { Tx } from "../db/store.ts";
import { type AuditEntryRow, auditEntryRepository, type NamedEntry } from "./audit-entries.repository.ts";
import { auditHeadRepository } from "./audit-heads.repository.ts";
import { type AuditSubjectRow, auditSubjectRepository } from "./audit-subjects.repository.ts";
import { entryHash, headMac, type Sign } from "./chain.ts";

/** An entry as its writer knows it: with the user's own id, and an address in plain. */
export type Draft = Omit<AuditEntryRow, "entryId" | "sequence" | "hash" | "module" | "sealedIp"> & {
  /** Whether the actor is the user whom it concerns, so that the name is theirs. */
  readonly isByUser: boolean;
  /** Whether the address is the user's. */
  readonly isFromUser: boolean;
  /** Names the user only if the trail knows them: what did not happen brings no erased user back. */
  readonly namesKnownOnly?: boolean;
};

const place = (tenantId: string, entryId: string) => frame("audit-ip/v1", tenantId, entryId);

async function userOf(tx: Tx, owner: Owner): Promise<AuditSubjectRow> {
  const subjects = auditSubjectRepository(tx);
  const known = await subjects.find(owner);
  if (known) return known;
  const made = await subjects.insert({ ...owner, pseudonym: bearerId(), key: randomSecret(32) });
  const subject = made ?? (await subjects.find(owner));
  if (!subject) throw new Error("a user of the audit trail is not to be found");
  return subject;
}

/** What an action is done to: "totp" of "totp.enrolled". */
export const subjectOf = (action: string): string => action.split(".", 1)[0] ?? "";

/** As it comes back from the store, so that its hash is the same then. */
const asStored = <T>(json: T): T => (json === null ? json : JSON.parse(JSON.stringify(json)));

/** Adds an entry to its tenant's chain, in the unit of the act. Other units of the tenant that add one wait for it. */
export async function append(tx: Tx, sign: Sign, draft: Draft): Promise<void> {
  const { isByUser, isFromUser, namesKnownOnly = false, ip, before, after, ...act } = draft;
  const { tenantId } = act;
  const entryId = newId();
  // First of all locks: units that each hold another part of the trail would wait for each other.
  const head = await auditHeadRepository(tx).advance(tenantId);
  const find = namesKnownOnly ? auditSubjectRepository(tx).find : (owner: Owner) => userOf(tx, owner);
  const subject = act.userId === "" ? undefined : await find(act);
  const kept = (id: string) => (subject && id === act.userId ? subject.pseudonym : id);
  const seals = subject !== undefined && isFromUser && ip !== "";
  const entry = {
    ...act,
    entryId,
    sequence: head.sequence,
    module: subjectOf(act.action),
    userId: subject?.pseudonym ?? "",
    targetId: kept(act.targetId),
    actorId: isByUser ? kept(act.actorId) : act.actorId,
    ip: seals ? "" : ip,
    sealedIp: seals ? encrypt(holdKey(Buffer.from(subject.key)), Buffer.from(ip), place(tenantId, entryId)) : null,
    before: asStored(before),
    after: asStored(after),
  };
  const hash = entryHash(sign, head.hash, entry);
  await auditEntryRepository(tx).insert({ ...entry, hash });
  const end = { tenantId, sequence: head.sequence, hash };
  await auditHeadRepository(tx).end({ ...end, mac: headMac(sign, end) });
}

/** An entry with the names that are known. */
export function named({ entry, subject }: NamedEntry): AuditEntryRow {
  if (!subject) return entry;
  const nameOf = (id: string) => (id === entry.userId ? subject.userId : id);
  const sealed = entry.sealedIp;
  const key = holdKey(Buffer.from(subject.key));
  return {
    ...entry,
    userId: subject.userId,
    targetId: nameOf(entry.targetId),
    actorId: nameOf(entry.actorId),
    ip: sealed ? decrypt(key, sealed, place(entry.tenantId, entry.entryId)).toString() : entry.ip,
  };
}
