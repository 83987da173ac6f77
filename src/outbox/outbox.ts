import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import type { Cell, Keyring } from "../crypto/keyring.ts";
import type { Tx } from "../db/store.ts";
import { outboxRepository } from "./outbox.repository.ts";
import type { Channel } from "./outbox.table.ts";

/** What a message holds that must not be read in the database: a code, an address. */
export type Content = Readonly<Record<string, string>>;

/** A message that does not exist before its unit commits. */
export interface Message {
  readonly owner: Owner;
  readonly channel: Channel;
  /** Which message: the name of its template, "code" or "factor_added". */
  readonly kind: string;
  /** What belongs to it and is no secret: which address or device it goes to, its language. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** From then on it is not sent any more. */
  readonly expireTime: Date;
  /** Whether somebody waits for it, as for a code: it goes before what nobody waits for. */
  readonly urgent?: boolean;
  /** One message a key and tenant; a second one is dropped. Defaults to an id of its own. */
  readonly idempotencyKey?: string;
  /** From `sealContent`. */
  readonly sealed?: SealedContent;
}

/** Content, sealed for the message of this id. */
export interface SealedContent {
  readonly messageId: string;
  readonly bytes: Buffer;
}

const cellOf = ({ tenantId, userId }: Owner, messageId: string): Cell => ({
  tenantId,
  userId,
  row: messageId,
  column: "outbox_messages.sealed_content",
});

/** Seals what a message holds. Outside of units, before the one that enqueues it. */
export async function sealContent(keyring: Keyring, owner: Owner, content: Content): Promise<SealedContent> {
  const messageId = newId();
  const plain = Buffer.from(JSON.stringify(content));
  const bytes = await keyring.seal(plain, cellOf(owner, messageId));
  plain.fill(0);
  return { messageId, bytes };
}

/** Opens what a message holds. Outside of units. */
export async function openContent(
  keyring: Keyring,
  { tenantId, userId, messageId, sealedContent }: Owner & { messageId: string; sealedContent: Buffer | null },
): Promise<Content> {
  if (sealedContent === null) return {};
  const plain = await keyring.open(sealedContent, cellOf({ tenantId, userId }, messageId));
  const content: Content = JSON.parse(plain.toString());
  plain.fill(0);
  return content;
}

/** What is due longest goes first, so what is urgent is due since long before. */
const AHEAD_MS = 24 * 3600 * 1000;

const enqueuing = new WeakSet<Tx>();

/** Whether a unit has enqueued anything: then the worker has reason to look once it is committed. */
export const hasEnqueued = (tx: Tx): boolean => enqueuing.has(tx);

/**
 * Writes a message in the unit of its cause: it is delivered if and only if the unit commits. Answers its id, which is
 * that of no message when the key was there before.
 */
export async function enqueue(tx: Tx, now: Date, message: Message): Promise<string> {
  const { owner, channel, kind, data = {}, expireTime, sealed, urgent } = message;
  const messageId = sealed?.messageId ?? newId();
  enqueuing.add(tx);
  await outboxRepository(tx).insert({
    ...owner,
    messageId,
    channel,
    kind,
    data,
    expireTime,
    idempotencyKey: message.idempotencyKey ?? messageId,
    sealedContent: sealed?.bytes ?? null,
    state: "queued",
    attempts: 0,
    leaseId: null,
    nextAttemptTime: urgent ? new Date(now.getTime() - AHEAD_MS) : now,
    provider: "",
    lastError: "",
    createTime: now,
    updateTime: now,
  });
  return messageId;
}
