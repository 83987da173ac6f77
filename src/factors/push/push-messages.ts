import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  PushChallengeState,
  PushChannel,
  PushDenyReason,
  PushDeviceState,
  PushKeyAlgorithm,
  PushPromptSchema,
} from "../../../gen/mfa/v1/push_pb.js";
import type { PushChallengeRow, ShownState } from "./push-challenges.repository.ts";
import type { PushDeviceRow } from "./push-devices.repository.ts";
import type { PushRequestState } from "./push-history.ts";

/** How often a page or a phone that asks by itself may ask. */
const RETRY_MS = 2_000;

const channels = {
  poll: PushChannel.POLL,
  "web-push": PushChannel.WEB_PUSH,
  fcm: PushChannel.FCM,
  apns: PushChannel.APNS,
  "push-webhook": PushChannel.WEBHOOK,
} as const;

const deviceStates = {
  pending: PushDeviceState.PENDING,
  active: PushDeviceState.ACTIVE,
  revoked: PushDeviceState.REVOKED,
} as const;

const states = {
  pending: PushChallengeState.PENDING,
  approved: PushChallengeState.APPROVED,
  denied: PushChallengeState.DENIED,
  expired: PushChallengeState.EXPIRED,
  cancelled: PushChallengeState.CANCELLED,
  failed: PushChallengeState.FAILED,
  redeemed: PushChallengeState.REDEEMED,
} as const;

const algorithms = { ES256: PushKeyAlgorithm.ES256, ED25519: PushKeyAlgorithm.ED25519 } as const;
const reasons = {
  NOT_ME: PushDenyReason.NOT_ME,
  MISTAKE: PushDenyReason.MISTAKE,
  OTHER: PushDenyReason.OTHER,
} as const;

/** The contract's PushDevice. */
export const toDevice = (row: PushDeviceRow, primaryFactorId: string | undefined) => ({
  deviceId: row.deviceId,
  displayName: row.displayName,
  state: deviceStates[row.state],
  channel: channels[row.channel],
  channelGone: row.channelGone,
  keyAlgorithm: row.keyAlgorithm === "" ? PushKeyAlgorithm.UNSPECIFIED : algorithms[row.keyAlgorithm],
  platform: row.platform,
  primary: row.deviceId === primaryFactorId,
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
  ...(row.lastUseTime && { lastUseTime: timestampFromDate(row.lastUseTime) }),
  version: BigInt(row.version),
});

/** The contract's PushPrompt: the one message that holds the number. */
export const toPrompt = (
  { pushId, expireTime }: PushChallengeRow,
  number: string,
  devices: readonly { readonly displayName: string }[],
) =>
  create(PushPromptSchema, {
    pushChallengeId: pushId,
    number,
    deviceNames: devices.map(({ displayName }) => displayName),
    expireTime: timestampFromDate(expireTime),
  });

/** The number of a reason's answer; of none, unset. */
export const toReason = (reason: PushChallengeRow["denyReason"]): PushDenyReason =>
  reason === "" ? PushDenyReason.UNSPECIFIED : reasons[reason];

/** The name of a reason; unset counts as OTHER. */
export function reasonName(reason: PushDenyReason): "NOT_ME" | "MISTAKE" | "OTHER" {
  if (reason === PushDenyReason.NOT_ME) return "NOT_ME";
  return reason === PushDenyReason.MISTAKE ? "MISTAKE" : "OTHER";
}

/** The name of a state to look for; empty for all. */
export const stateName = (state: PushChallengeState): ShownState | "" =>
  (Object.keys(states) as ShownState[]).find((name) => states[name] === state) ?? "";

/** The contract's PushChallenge, as lists hold it. */
export const toChallenge = ({ row, state }: PushRequestState) => ({
  pushChallengeId: row.pushId,
  state: states[state],
  deviceId: row.deviceId,
  context: { ...row.context },
  denyReason: toReason(row.denyReason),
  decidedDeviceId: row.decidedDeviceId,
  createTime: timestampFromDate(row.createTime),
  expireTime: timestampFromDate(row.expireTime),
  ...(row.decideTime && { decideTime: timestampFromDate(row.decideTime) }),
  ...((state === "pending" || state === "approved") && { retryAfter: durationFromMs(RETRY_MS) }),
});

/** The contract's PushChallenge for who asked, and may act on the generic challenge that it proves. */
export const toAskedChallenge = (standing: PushRequestState) => ({
  ...toChallenge(standing),
  challengeId: standing.row.challengeId,
});

/** The contract's PendingPushChallenge. */
export const toPending = ({ row }: PushRequestState) => ({
  pushChallengeId: row.pushId,
  nonce: row.nonce,
  numberLength: row.numberLength,
  context: { ...row.context },
  ...(row.actionDigest && { actionDigest: row.actionDigest }),
  createTime: timestampFromDate(row.createTime),
  expireTime: timestampFromDate(row.expireTime),
});

/** What a phone that polls is told to wait. */
export const pollPause = () => durationFromMs(RETRY_MS);
