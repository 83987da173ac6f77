import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import type { ReplaceTotpDeviceRequest, StartTotpEnrollmentRequest } from "../../../gen/mfa/v1/totp_pb.js";
import type { Call } from "../../core/call.ts";
import { ownerOf } from "../../core/caller.ts";
import type { Handlers } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import type { PageTokens } from "../../crypto/page-token.ts";
import type { Owner } from "../../db/store.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import type { createTotp, TotpOptions } from "./totp.ts";
import { parametersOf, toProto } from "./totp-messages.ts";

const verified = (proof: { deviceId: string } | Refusal, { now }: Call) =>
  proof instanceof Refusal ? proof : { deviceId: proof.deviceId, verifyTime: timestampFromDate(now) };

/** Dependencies of the handlers of authenticator apps. */
export interface TotpHandlerOptions extends Pick<TotpOptions, "factorSet" | "settingsOf"> {
  readonly totp: ReturnType<typeof createTotp>;
  readonly pageTokens: PageTokens;
}

/** What users do with their authenticator apps, and administrators and backends with their users'. */
export function createTotpHandlers({ totp, factorSet, settingsOf, pageTokens }: TotpHandlerOptions) {
  /** The reply that shows one device. */
  const shown = async (call: Call, owner: Owner, device: TotpDeviceRow | Refusal | undefined) => {
    if (device === undefined) return new Refusal("NOT_FOUND");
    if (device instanceof Refusal) return device;
    const primary = await call.unit((tx) => factorSet.primaryOf(tx, owner, call.now));
    return { device: toProto(device, primary) };
  };

  const start = async (
    call: Call,
    request: StartTotpEnrollmentRequest | ReplaceTotpDeviceRequest,
    replaces?: string,
  ) => {
    const { displayName, accountName } = request;
    const { tenantId } = call.caller;
    const parameters = parametersOf(request, await settingsOf(tenantId));
    const asked = { displayName, accountName, parameters, ...(replaces && { replaces }) };
    const started = await totp.start(call, ownerOf(call.caller), asked);
    if (started instanceof Refusal) return started;
    const { device, provisioning } = started;
    const expireTime = device.expireTime && timestampFromDate(device.expireTime);
    return { device: toProto(device, undefined), provisioning, ...(expireTime && { expireTime }) };
  };

  const page = async (call: Call, owner: Owner, request: { pageSize: number; pageToken: string }) => {
    const position = pageTokens.read(call, request.pageToken, owner.userId);
    return call.unit(async (tx) => {
      const size = request.pageSize || 50;
      const { rows, next } = await totpRepository(tx).list(owner, { position, size, now: call.now });
      const primary = await factorSet.primaryOf(tx, owner, call.now);
      const devices = rows.map((row) => toProto(row, primary));
      return { devices, nextPageToken: pageTokens.write(call, next, owner.userId) };
    });
  };

  const turn =
    (name: "enable" | "disable" | "revoke") =>
    async (request: { deviceId: string; confirmLastFactor?: boolean }, call: Call) => {
      const owner = ownerOf(call.caller);
      const key = { ...owner, deviceId: request.deviceId };
      const confirmed = request.confirmLastFactor ?? false;
      return shown(call, owner, await totp.devices.turn(call, key, name, { confirmed }));
    };

  const user = {
    startTotpEnrollment: (request, call) => start(call, request),
    replaceTotpDevice: (request, call) => start(call, request, request.deviceId),

    finishTotpEnrollment: async (request, call) => {
      const owner = ownerOf(call.caller);
      const proven = await totp.finish(call, owner, request);
      if (proven instanceof Refusal) return proven;
      const reply = await shown(call, owner, proven.device);
      if (reply instanceof Refusal) return reply;
      const { replacedDeviceId, codes } = proven;
      return {
        ...reply,
        replacedDeviceId,
        backupCodes: [...(codes?.codes ?? [])],
        backupCodeSetId: codes?.setId ?? "",
      };
    },

    listTotpDevices: (request, call) => page(call, ownerOf(call.caller), request),

    getTotpDevice: async ({ deviceId }, call) => {
      const owner = ownerOf(call.caller);
      return shown(call, owner, await call.unit((tx) => totpRepository(tx).find({ ...owner, deviceId }, call.now)));
    },

    verifyTotpCode: async ({ code }, call) =>
      verified(await totp.verify(call, ownerOf(call.caller), { code, hideUnenrolled: false }), call),

    updateTotpDevice: async ({ deviceId, displayName, version }, call) => {
      const owner = ownerOf(call.caller);
      const change = { displayName, version: Number(version) };
      return shown(call, owner, await totp.devices.rename(call, { ...owner, deviceId }, change));
    },

    enableTotpDevice: turn("enable"),
    disableTotpDevice: turn("disable"),
    revokeTotpDevice: turn("revoke"),

    deleteTotpDevice: async ({ deviceId, confirmLastFactor: confirmed }, call) =>
      (await totp.devices.delete(call, { ...ownerOf(call.caller), deviceId }, { confirmed })) ?? {},

    disableTotp: async ({ confirmLastFactor: confirmed }, call) => ({
      disabledCount: await totp.devices.disableAll(call, ownerOf(call.caller), { confirmed }),
    }),

    resyncTotpDevice: async ({ deviceId, firstCode: first, secondCode: second }, call) => {
      const owner = ownerOf(call.caller);
      const set = await totp.resync(call, { ...owner, deviceId }, { first, second });
      if (set instanceof Refusal) return set;
      const reply = await shown(call, owner, set.device);
      return reply instanceof Refusal ? reply : { ...reply, correction: durationFromMs(set.correctionMs) };
    },
  } satisfies Handlers<typeof MfaService>;

  const admin = {
    getUserTotp: async ({ userId }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      return call.unit(async (tx) => {
        const rows = await totpRepository(tx).listAll(owner, call.now);
        const primary = await factorSet.primaryOf(tx, owner, call.now);
        const enabled = rows.some(({ state }) => state === "active");
        return { enabled, devices: rows.map((row) => toProto(row, primary)) };
      });
    },
  } satisfies Handlers<typeof AdminMfaService>;

  const internal = {
    verifyUserTotpCode: async ({ userId, code }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      return verified(await totp.verify(call, owner, { code, hideUnenrolled: true }), call);
    },

    listUserTotpDevices: (request, call) =>
      page(call, { tenantId: call.caller.tenantId, userId: request.userId }, request),

    disableUserTotp: async ({ userId, reason, actor, confirmLastFactor: confirmed }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      return { disabledCount: await totp.devices.disableAll(call, owner, { confirmed, reason, actor }) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, admin, internal };
}
