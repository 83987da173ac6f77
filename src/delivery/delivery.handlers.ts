import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { CHANNELS, type Channel } from "../outbox/outbox.table.ts";
import type { Handlers } from "../rpc/service.ts";
import type { Inbox } from "./inbox.ts";

const types = {
  sms: FactorType.SMS,
  email: FactorType.EMAIL,
  "web-push": FactorType.PUSH,
  fcm: FactorType.PUSH,
  apns: FactorType.PUSH,
  "push-webhook": FactorType.PUSH,
  notice: FactorType.UNSPECIFIED,
} as const;

/** The ways that belong to a factor; none of them stands for all. */
const channelsOf = (type: FactorType): readonly (Channel | "none")[] => {
  if (type === FactorType.UNSPECIFIED) return [];
  const own = CHANNELS.filter((channel) => types[channel] === type);
  return own.length > 0 ? own : ["none"];
};

/** What developers read in place of what would have been sent. */
export function createDeliveryHandlers(inbox: Inbox | undefined, pageTokens: PageTokens) {
  const internal = {
    listInboxMessages: async ({ userId, channel, pageSize, pageToken }, call) => {
      if (!inbox) return new Refusal("DEV_MODE_ONLY");
      const filter = `${channel}/${userId}`;
      const position = pageTokens.read(call, pageToken, filter);
      const kept = await inbox.list(call, { userId, channels: channelsOf(channel), position, size: pageSize || 50 });
      const messages = kept.messages.map(({ channel, createTime, ...message }) => ({
        ...message,
        channel: types[channel],
        createTime: timestampFromDate(createTime),
      }));
      return { messages, nextPageToken: pageTokens.write(call, kept.next, filter) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}
