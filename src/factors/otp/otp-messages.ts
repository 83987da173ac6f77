import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { DeliveryState, type OtpDelivery, OtpDeliverySchema } from "../../../gen/mfa/v1/otp_pb.js";
import type { MessageState } from "../../outbox/outbox.table.ts";
import { otpChannels } from "./channels.ts";
import type { OtpAddressRow } from "./otp-addresses.repository.ts";
import type { OtpChallengeRow } from "./otp-challenges.repository.ts";

const states = {
  queued: DeliveryState.QUEUED,
  sent: DeliveryState.SENT,
  delivered: DeliveryState.DELIVERED,
  failed: DeliveryState.FAILED,
  expired: DeliveryState.EXPIRED,
} as const satisfies Record<MessageState, DeliveryState>;

/** A code on its way, and how it got there. Just enqueued it is without a message yet. */
export interface Sent {
  readonly challenge: OtpChallengeRow;
  readonly address: Pick<OtpAddressRow, "masked">;
  readonly message?: { readonly state: MessageState } | undefined;
}

/** A code on its way as the contract has it. */
export const toDelivery = ({ challenge, address, message }: Sent): OtpDelivery =>
  create(OtpDeliverySchema, {
    challengeId: challenge.challengeId,
    maskedTarget: address.masked,
    codeLength: otpChannels[challenge.channel].digits,
    deliveryState: states[message?.state ?? "queued"],
    expireTime: timestampFromDate(challenge.expireTime),
    resendAfterTime: timestampFromDate(challenge.resendAfterTime),
  });
