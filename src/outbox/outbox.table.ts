import { sql } from "drizzle-orm";
import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

type Json = Readonly<Record<string, unknown>>;

/** The channels of messages. */
export const CHANNELS = ["notice", "sms", "email", "web-push", "fcm", "apns", "push-webhook"] as const;

/** The channel; each has its own providers. "notice" is resolved into one message for each address. */
export type Channel = (typeof CHANNELS)[number];

/**
 * "queued", then "sent"; "delivered" where the provider reports it; "failed" after every provider and retry, or where
 * the provider reports it; "expired" when its time ran out before it was sent.
 */
export type MessageState = "queued" | "sent" | "delivered" | "failed" | "expired";

/** Messages to users, written in the unit of their cause and delivered after its commit. */
export const outboxMessages = (d: Dialect) =>
  d.table(
    "outbox_messages",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      messageId: d.text("message_id").notNull(),
      channel: d.text("channel").$type<Channel>().notNull(),
      /** The template's name: "code", "factor_added". */
      kind: d.text("kind").notNull(),
      /** The idempotency key of every attempt, so that a provider can drop a repeat. One message for each key. */
      idempotencyKey: d.text("idempotency_key").notNull(),
      /** Values of the template that are not secret. */
      data: d.json<Json>("data").notNull(),
      /** Sealed content: a code, an address; null without any, and once the message is settled. */
      sealedContent: d.bytes("sealed_content"),
      state: d.text("state").$type<MessageState>().notNull(),
      attempts: d.integer("attempts").notNull(),
      /** The lease of the running attempt; an attempt with an older one cannot settle it. */
      leaseId: d.text("lease_id"),
      /**
       * When the message is due, earliest first; urgent ones are dated back. During an attempt, when its lease expires.
       */
      nextAttemptTime: d.instant("next_attempt_time").notNull(),
      /** When it expires unsent. */
      expireTime: d.instant("expire_time").notNull(),
      /** The provider that accepted it; empty before. */
      provider: d.text("provider").notNull(),
      /** The kind of the last failure, never its text: "TIMEOUT", "SMTP_550", "UNOPENED"; empty without one. */
      lastError: d.text("last_error").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.messageId] }),
      d.uniqueIndex("outbox_messages_by_key").on(t.tenantId, t.idempotencyKey),
      d.index("outbox_messages_by_user").on(t.tenantId, t.userId, t.createTime),
      d.index("outbox_messages_by_time").on(t.tenantId, t.createTime, t.messageId),
      d.index("outbox_messages_by_end").on(t.updateTime).where(sql`${t.state} <> 'queued'`),
      d.index("outbox_messages_due").on(t.state, t.channel, t.nextAttemptTime),
    ],
  );

const progress = "how far its delivery is: it is delayed, repeated or left out, to where it always went";

bindRows(
  outboxMessages,
  ["tenantId", "userId", "messageId", "channel", "kind", "idempotencyKey", "data", "expireTime", "createTime"],
  {
    sealedContent: "sealed for this message and no other",
    state: progress,
    attempts: progress,
    leaseId: progress,
    nextAttemptTime: progress,
    provider: "shown, and which provider's reports are taken",
    lastError: "shown, and asked nowhere",
    updateTime: "when what is settled is forgotten",
  },
  { broken: "absent" },
);
