import type { Call } from "../core/call.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Position } from "../db/page.ts";
import { type OutboxRow, outboxRepository } from "../outbox/outbox.repository.ts";
import { CHANNELS, type Channel } from "../outbox/outbox.table.ts";
import { openContent } from "../outbox/outbox.ts";
import type { Compose } from "./carrier.ts";
import type { Provider } from "./provider.ts";

/** Dev mode's provider: messages stay in the outbox, where ListInboxMessages reads them. */
export const inboxProviders = (carried: ReadonlySet<Channel>): readonly Provider[] =>
  CHANNELS.filter((channel) => channel !== "notice" && !carried.has(channel)).map((channel) => ({
    name: "inbox",
    channel,
    keepsContent: true,
    send: async () => ({ outcome: "delivered" }),
  }));

/** The requested page of messages. No channels means all. */
export interface InboxPage {
  readonly userId: string;
  readonly channels: readonly (Channel | "none")[];
  readonly position: Position;
  readonly size: number;
}

/** Lists dev mode's messages, a view of the outbox: a message is there once the unit of its cause has committed. */
export function createInbox({ keyring, compose }: { readonly keyring: Keyring; readonly compose: Compose }) {
  const read = async (row: OutboxRow) => {
    const { tenantId, userId, messageId, channel, createTime } = row;
    const content = await openContent(keyring, row);
    const letter = await compose({ ...row, owner: { tenantId, userId }, content });
    const { to: target = "", subject = "", text: body = "" } = letter ?? {};
    return { messageId, userId, channel, target, subject, body, code: content.code ?? "", createTime };
  };

  return {
    async list(call: Call, { userId, channels, position, size }: InboxPage) {
      const kept = { tenantId: call.caller.tenantId, userId, channels };
      const { rows, next } = await call.unit((tx) => outboxRepository(tx).listKept(kept, { position, size }));
      return { messages: await Promise.all(rows.map(read)), next };
    },
  };
}

/** The inbox of dev mode. */
export type Inbox = ReturnType<typeof createInbox>;
