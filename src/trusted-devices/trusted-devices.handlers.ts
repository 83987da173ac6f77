import { durationMs } from "@bufbuild/protobuf/wkt";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { ownerOf } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Handlers } from "../rpc/service.ts";
import type { SettingsOf } from "../tenants/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { deviceTrustMessage, trustedDeviceMessage } from "./trusted-device-messages.ts";
import type { TrustedDevices } from "./trusted-devices.ts";

/** What users do with the clients they trust, and backends with their users' clients. */
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

    checkDeviceTrust: async (request, call) => ({
      deviceTrust: deviceTrustMessage(
        await call.unit((tx) => devices.checkIn(tx, call, ownerOf(call.caller), request)),
      ),
    }),

    listTrustedDevices: async ({ trustToken, pageSize, pageToken }, call) => {
      const page = { trustToken, position: pageTokens.read(call, pageToken), size: pageSize || 50 };
      const { rows, next, currentId } = await call.unit((tx) => devices.list(tx, call, ownerOf(call.caller), page));
      const shown = rows.map((row) => trustedDeviceMessage(row, row.trustedDeviceId === currentId));
      return { devices: shown, nextPageToken: pageTokens.write(call, next) };
    },

    getTrustedDevice: async ({ trustedDeviceId }, call) => {
      const row = await call.unit((tx) => devices.find(tx, call, ownerOf(call.caller), trustedDeviceId));
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
      const { application } = call.client;
      const trust = await call.unit((tx) => devices.checkIn(tx, call, owner, { trustToken, application }));
      return { deviceTrust: deviceTrustMessage(trust) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, internal };
}
