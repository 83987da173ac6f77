import { durationMs } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { ownerOf } from "../core/caller.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { deviceTrustMessage, trustedDeviceMessage } from "./trusted-device-messages.ts";
import type { TrustedDevices } from "./trusted-devices.ts";

/** RPCs of trusted devices: of users, of backends and of administrators. */
export function createTrustedDeviceHandlers(
  devices: TrustedDevices,
  { settingsOf, pageTokens }: { readonly settingsOf: SettingsOf; readonly pageTokens: PageTokens },
) {
  const user = {
    trustDevice: async ({ lifetime, ...asked }, call) => {
      const owner = ownerOf(call.caller);
      const settings = await settingsOf(owner.tenantId);
      const trusted = await call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const lifetimeMs = lifetime && durationMs(lifetime);
        return devices.trustIn(tx, call, owner, { ...asked, lifetimeMs }, settings);
      });
      if (trusted instanceof Refusal) return trusted;
      return { device: trustedDeviceMessage(trusted.row, true), trustToken: trusted.trustToken };
    },

    checkDeviceTrust: async ({ trustToken, application }, call) => {
      const owner = ownerOf(call.caller);
      const presented = { trustToken, application, settings: await settingsOf(owner.tenantId) };
      return { deviceTrust: deviceTrustMessage(await call.unit((tx) => devices.checkIn(tx, call, owner, presented))) };
    },

    listTrustedDevices: async ({ trustToken, pageSize, pageToken }, call) => {
      const settings = await settingsOf(call.caller.tenantId);
      const page = { trustToken, settings, position: pageTokens.read(call, pageToken), size: pageSize || 50 };
      const { rows, next, currentId } = await call.unit((tx) => devices.list(tx, call, ownerOf(call.caller), page));
      const shown = rows.map((row) => trustedDeviceMessage(row, row.trustedDeviceId === currentId));
      return { devices: shown, nextPageToken: pageTokens.write(call, next) };
    },

    getTrustedDevice: async ({ trustedDeviceId }, call) => {
      const asked = { trustedDeviceId, settings: await settingsOf(call.caller.tenantId) };
      const row = await call.unit((tx) => devices.find(tx, call, ownerOf(call.caller), asked));
      return row ? { device: trustedDeviceMessage(row) } : new Refusal("NOT_FOUND");
    },

    revokeTrustedDevice: async ({ trustedDeviceId }, call) =>
      (await devices.revoke(call, ownerOf(call.caller), trustedDeviceId)) ? {} : new Refusal("NOT_FOUND"),

    revokeAllTrustedDevices: async (_, call) => ({
      revokedCount: await call.unit((tx) => devices.revokeAllIn(tx, call, ownerOf(call.caller))),
    }),

    cleanUpTrustedDevices: async (_, call) => ({
      removedCount: await devices.cleanUp(call, ownerOf(call.caller)),
    }),
  } satisfies Handlers<typeof MfaService>;

  const internal = {
    checkUserDeviceTrust: async ({ userId, trustToken }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const presented = {
        trustToken,
        application: call.client.application,
        settings: await settingsOf(owner.tenantId),
      };
      const trust = await call.unit((tx) => devices.checkIn(tx, call, owner, presented));
      return { deviceTrust: deviceTrustMessage(trust) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  const admin = {
    listUserTrustedDevices: async ({ userId, pageSize, pageToken }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const settings = await settingsOf(owner.tenantId);
      const page = { trustToken: "", settings, position: pageTokens.read(call, pageToken), size: pageSize || 50 };
      const { rows, next } = await call.unit((tx) => devices.list(tx, call, owner, page));
      return {
        devices: rows.map((row) => trustedDeviceMessage(row)),
        nextPageToken: pageTokens.write(call, next),
      };
    },

    revokeUserTrustedDevice: async ({ userId, trustedDeviceId, reason }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      return (await devices.revoke(call, owner, trustedDeviceId, reason)) ? {} : new Refusal("NOT_FOUND");
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { user, internal, admin };
}
