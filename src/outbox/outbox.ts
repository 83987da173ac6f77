import { newId } from "../core/id.ts";
import type { Cell, Keyring } from "../crypto/keyring.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type OutboxRow, outboxRepository } from "./outbox.repository.ts";
import type { Channel } from "./outbox.table.ts";

/** The secret content of a message: a code, an address. */
export type Content = Readonly<Record<string, string>>;

/** A message to be enqueued. */
export interface Message {
  readonly owner: Owner;
  readonly channel: Channel;
  /** The template's name: "code", "factor_added". */
  readonly kind: string;
  /** Values that are not secret: the address's or device's id, the language. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** When it expires unsent. */
  readonly expireTime: Date;
  /** Whether a user waits for it, as for a code: it is sent before others. */
  readonly urgent?: boolean;
  /** One message for each key and tenant; a second one is dropped. Defaults to a unique id. */
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

/** Seals a message's content. Call it outside of units, before the one that enqueues it. */
export async function sealContent(keyring: Keyring, owner: Owner, content: Content): Promise<SealedContent> {
  const messageId = newId();
  const plain = Buffer.from(JSON.stringify(content));
  const bytes = await keyring.seal(plain, cellOf(owner, messageId));
  plain.fill(0);
  return { messageId, bytes };
}

/** Opens a message's content. Call it outside of units. */
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

/** The message due earliest goes first, so urgent ones are dated back. */
const URGENT_MS = 24 * 3600 * 1000;
/** Other messages are dated back by an hour, so that none waits when its instance's clock is ahead. */
const AHEAD_MS = 3600 * 1000;

const enqueuing = new WeakSet<Tx>();

/** Whether a unit has enqueued a message, so that the worker is woken after the commit. */
export const hasEnqueued = (tx: Tx): boolean => enqueuing.has(tx);

/**
 * Writes a message in the unit of its cause: it is delivered if and only if the unit commits. Returns its id, which
 * names no message when the key existed already.
 */
export async function enqueue(tx: Tx, now: Date, message: Message): Promise<string> {
  const row = rowOf(now, message);
  enqueuing.add(tx);
  await outboxRepository(tx).insert(row);
  return row.messageId;
}

/** Writes many messages, in few statements. */
export async function enqueueAll(tx: Tx, now: Date, messages: readonly Message[]): Promise<void> {
  if (messages.length === 0) return;
  enqueuing.add(tx);
  await outboxRepository(tx).insertAll(messages.map((message) => rowOf(now, message)));
}

function rowOf(now: Date, message: Message): OutboxRow {
  const { owner, channel, kind, data = {}, expireTime, sealed, urgent } = message;
  const messageId = sealed?.messageId ?? newId();
  return {
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
    nextAttemptTime: new Date(now.getTime() - (urgent ? URGENT_MS : AHEAD_MS)),
    provider: "",
    lastError: "",
    createTime: now,
    updateTime: now,
  };
}
