import { durationFromMs, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { ChallengePreparation } from "../../../gen/mfa/v1/challenge_pb.js";
import type { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import { type CreatePushChallengeRequest, PushKeyAlgorithm } from "../../../gen/mfa/v1/push_pb.js";
import type { Call } from "../../core/call.ts";
import { ownerOf } from "../../core/caller.ts";
import type { Handlers } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import type { PageTokens } from "../../crypto/page-token.ts";
import type { Owner } from "../../db/store.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import type { FactorSet, FactorTypeName } from "../factor.ts";
import type { Push } from "./push.ts";
import { type PushDeviceRow, pushDeviceRepository } from "./push-devices.repository.ts";
import {
  pollPause,
  reasonName,
  stateName,
  toAskedChallenge,
  toChallenge,
  toDevice,
  toPending,
  toReason,
} from "./push-messages.ts";

/** What the API of approvals needs. */
export interface PushHandlerOptions {
  readonly push: Push;
  readonly factorSet: FactorSet;
  readonly settingsOf: SettingsOf;
  readonly pageTokens: PageTokens;
  /** Asks for a proof of the kind for a challenge: the one that is named, else one of its own. */
  readonly ask: (
    call: Call,
    owner: Owner,
    type: FactorTypeName,
    asked: CreatePushChallengeRequest,
  ) => Promise<ChallengePreparation["kind"] | Refusal>;
}

/** Approvals on a phone: for users, their phones, administrators and backends. */
export function createPushHandlers({ push, factorSet, settingsOf, pageTokens, ask }: PushHandlerOptions) {
  const { pairing, devices, answers, history } = push;

  const shown = async (call: Call, owner: Owner, device: PushDeviceRow | Refusal) => {
    if (device instanceof Refusal) return device;
    return { device: toDevice(device, await call.unit((tx) => factorSet.primaryOf(tx, owner, call.now))) };
  };
  const own = ({ caller }: Call, pushId: string) => ({ ...ownerOf(caller), pushId });
  const callingDevice = ({ caller }: Call) => ({ ...ownerOf(caller), deviceId: caller.deviceId ?? "" });
  const decided = (answer: { decideTime: Date } | Refusal) =>
    answer instanceof Refusal ? answer : { decideTime: timestampFromDate(answer.decideTime) };
  const page = (call: Call, { pageSize, pageToken }: { pageSize: number; pageToken: string }, filter: string) => ({
    position: pageTokens.read(call, pageToken, filter),
    size: pageSize || 50,
  });

  const user = {
    startPushDeviceEnrollment: async ({ displayName }, call) => {
      const started = await pairing.start(call, ownerOf(call.caller), displayName);
      if (started instanceof Refusal) return started;
      const { device, ...code } = started;
      const expireTime = device.expireTime && timestampFromDate(device.expireTime);
      return { ...code, device: toDevice(device, undefined), ...(expireTime && { expireTime }) };
    },

    finishPushDeviceEnrollment: async (request, call) => {
      const owner = ownerOf(call.caller);
      const algorithm = request.keyAlgorithm === PushKeyAlgorithm.ES256 ? "ES256" : "ED25519";
      const device = await pairing.finish(call, owner, { ...request, algorithm });
      const reply = await shown(call, owner, device);
      if (reply instanceof Refusal) return reply;
      return { ...reply, accountName: owner.userId, issuer: (await settingsOf(owner.tenantId)).totp.issuer };
    },

    listPushDevices: async (request, call) => {
      const owner = ownerOf(call.caller);
      const asked = { ...page(call, request, ""), now: call.now };
      return call.unit(async (tx) => {
        const { rows, next } = await pushDeviceRepository(tx).list(owner, asked);
        const primary = await factorSet.primaryOf(tx, owner, call.now);
        return { devices: rows.map((row) => toDevice(row, primary)), nextPageToken: pageTokens.write(call, next) };
      });
    },

    updatePushDevice: async ({ deviceId, displayName, version }, call) => {
      const owner = ownerOf(call.caller);
      const change = { displayName, version: Number(version) };
      return shown(call, owner, await devices.rename(call, { ...owner, deviceId }, change));
    },

    revokePushDevice: async ({ deviceId, confirmLastFactor }, call) => {
      const owner = ownerOf(call.caller);
      return shown(call, owner, await devices.revoke(call, { ...owner, deviceId }, confirmLastFactor));
    },

    rotatePushDeviceToken: async ({ address }, call) =>
      shown(call, ownerOf(call.caller), await devices.rotate(call, callingDevice(call), address)),

    getVapidPublicKey: async (_request, call) => {
      await call.read(async () => {}); // refuses the token of an erased user, as every read does
      return { publicKey: (await push.vapidKeyOf(call.caller.tenantId)).publicKey };
    },

    createPushChallenge: async (request, call) => {
      const owner = ownerOf(call.caller);
      const asked = (await push.refuse(call, owner, request.deviceId)) ?? (await ask(call, owner, "PUSH", request));
      if (asked instanceof Refusal) return asked;
      if (asked.case !== "push") return new Refusal("NOT_ENROLLED");
      const { pushChallengeId, number } = asked.value;
      const challenge = await call.unit((tx) => history.ofSession(tx, call, own(call, pushChallengeId)));
      return { challenge: toAskedChallenge(challenge), number };
    },

    getPushChallenge: async ({ pushChallengeId }, call) => ({
      challenge: toAskedChallenge(await call.unit((tx) => history.ofSession(tx, call, own(call, pushChallengeId)))),
    }),

    listPushChallenges: async (request, call) => {
      const filter = String(request.state);
      const asked = { ...page(call, request, filter), state: stateName(request.state) };
      const { found, next } = await history.list(call, ownerOf(call.caller), asked);
      return { challenges: found.map(toChallenge), nextPageToken: pageTokens.write(call, next, filter) };
    },

    listPendingPushChallenges: async (request, call) => {
      const owner = ownerOf(call.caller);
      const filter = call.caller.deviceId ?? "";
      const asked = page(call, request, filter);
      const { found, next } = await call.unit((tx) => history.listPending(tx, call, owner, asked));
      const nextPageToken = pageTokens.write(call, next, filter);
      return { challenges: found.map(toPending), retryAfter: pollPause(), nextPageToken };
    },

    approvePushChallenge: async ({ pushChallengeId, number, signature }, call) =>
      decided(await answers.approve(call, own(call, pushChallengeId), { number, signature })),

    denyPushChallenge: async ({ pushChallengeId, denyReason, signature }, call) =>
      decided(await answers.deny(call, own(call, pushChallengeId), { reason: reasonName(denyReason), signature })),
  } satisfies Handlers<typeof MfaService>;

  const admin = {
    listUserPushChallenges: async (request, call) => {
      const { userId, state, startTime, endTime } = request;
      const [start, end] = [startTime && timestampDate(startTime), endTime && timestampDate(endTime)];
      const filter = JSON.stringify([userId, state, start, end]);
      const asked = { ...page(call, request, filter), userId, start, end, state: stateName(state) };
      const { found, next } = await history.listOfTenant(call, asked);
      const challenges = found.map((one) => ({ userId: one.row.userId, challenge: toChallenge(one) }));
      return { challenges, nextPageToken: pageTokens.write(call, next, filter) };
    },

    getPushStats: async ({ startTime, endTime }, call) => {
      const asked = { start: startTime && timestampDate(startTime), end: endTime && timestampDate(endTime) };
      const counts = await history.count(call, asked);
      if (counts instanceof Refusal) return counts;
      const { start, end, reasons, medianMs, ...numbers } = counts;
      const big = Object.fromEntries(Object.entries(numbers).map(([name, count]) => [name, BigInt(count)]));
      return {
        ...big,
        denyReasons: reasons.map(({ reason, count }) => ({ denyReason: toReason(reason), count: BigInt(count) })),
        ...(medianMs !== undefined && { medianAnswerTime: durationFromMs(medianMs) }),
        startTime: timestampFromDate(start),
        endTime: timestampFromDate(end),
      };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  const internal = {
    getUserPushChallenge: async ({ userId, pushChallengeId }, call) => {
      const key = { tenantId: call.caller.tenantId, userId, pushId: pushChallengeId };
      return { challenge: toAskedChallenge(await call.unit((tx) => history.forBackend(tx, call, key))) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, admin, internal };
}
