import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { channelsOf, factorTypeOf } from "./factor-channels.ts";
import type { Inbox } from "./inbox.ts";

/** RPCs of dev mode's inbox. */
export function createDeliveryHandlers(inbox: Inbox | undefined, pageTokens: PageTokens) {
  const internal = {
    listInboxMessages: async ({ userId, channel, pageSize, pageToken }, call) => {
      if (!inbox) return new Refusal("DEV_MODE_ONLY");
      const filter = `${channel}/${userId}`;
      const position = pageTokens.read(call, pageToken, filter);
      const kept = await inbox.list(call, { userId, channels: channelsOf(channel), position, size: pageSize || 50 });
      const messages = kept.messages.map(({ channel, createTime, ...message }) => ({
        ...message,
        channel: factorTypeOf(channel),
        createTime: timestampFromDate(createTime),
      }));
      return { messages, nextPageToken: pageTokens.write(call, kept.next, filter) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}
