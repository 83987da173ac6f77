import type { Dialect } from "../db/dialect.ts";

type Json = Readonly<Record<string, unknown>>;

/** Every way a message may go. */
export const CHANNELS = ["notice", "sms", "email", "web-push", "fcm", "apns", "push-webhook"] as const;

/** By which way a message goes; each has its own providers. "notice" is resolved into one message an address. */
export type Channel = (typeof CHANNELS)[number];

/** "queued" until it is "sent"; "failed" after every provider and retry, "expired" when its time ran out before that. */
export type MessageState = "queued" | "sent" | "failed" | "expired";

/** Messages to people, written in the unit of their cause and delivered after its commit. */
export const outboxMessages = (d: Dialect) =>
  d.table(
    "outbox_messages",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      messageId: d.text("message_id").notNull(),
      channel: d.text("channel").$type<Channel>().notNull(),
      /** Which message: the name of its template, "code" or "factor_added". */
      kind: d.text("kind").notNull(),
      /** The same for every attempt, so that a provider can drop a repeat. One message a key. */
      idempotencyKey: d.text("idempotency_key").notNull(),
      /** What belongs to it and is no secret. */
      data: d.json<Json>("data").notNull(),
      /** A code, an address; null when it has none, and once it is settled. */
      sealedContent: d.bytes("sealed_content"),
      state: d.text("state").$type<MessageState>().notNull(),
      attempts: d.integer("attempts").notNull(),
      /** Names the attempt under way: whoever settles it under an older name has lost it. */
      leaseId: d.text("lease_id"),
      /** When it is due, longest first; urgent ones since long before. While an attempt is under way, when that one counts as lost. */
      nextAttemptTime: d.instant("next_attempt_time").notNull(),
      /** From then on it is not sent any more. */
      expireTime: d.instant("expire_time").notNull(),
      /** The provider that took it; empty before. */
      provider: d.text("provider").notNull(),
      /** The kind of the last failure, never its text: "TIMEOUT", "SMTP_550", "UNOPENED"; empty without one. */
      lastError: d.text("last_error").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.messageId] }),
      d.uniqueIndex("outbox_messages_by_key").on(t.tenantId, t.idempotencyKey),
      d.index("outbox_messages_by_user").on(t.tenantId, t.userId, t.createTime),
      d.index("outbox_messages_due").on(t.state, t.channel, t.nextAttemptTime),
    ],
  );
