import type { Channel } from "../outbox/outbox.table.ts";
import type { Provider } from "./provider.ts";

const CHANNELS: readonly Channel[] = ["sms", "email", "web-push", "fcm", "apns"];

/** Dev mode's way out: messages go no further than the outbox, where ListInboxMessages reads them. */
export const createInbox = (): readonly Provider[] =>
  CHANNELS.map((channel) => ({
    name: "inbox",
    channel,
    keepsContent: true,
    send: async () => ({ outcome: "delivered" }),
  }));
