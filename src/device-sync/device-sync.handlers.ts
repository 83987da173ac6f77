import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { ownerOf } from "../core/caller.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { createDeviceSync, type Synced } from "./device-sync.ts";
import { syncedDeviceRepository } from "./synced-devices.repository.ts";

const toProto = ({ device, blob }: Synced) => ({
  syncedDeviceId: device.syncedDeviceId,
  displayName: device.displayName,
  size: blob.size,
  checksum: blob.checksum,
  version: BigInt(blob.version),
  createTime: timestampFromDate(device.createTime),
  updateTime: timestampFromDate(device.updateTime),
});

/** What authenticator apps store of themselves and read back. */
export function createDeviceSyncHandlers(pageTokens: PageTokens) {
  const sync = createDeviceSync();

  const user = {
    syncDevice: async ({ version, ...request }, call) => {
      const synced = await sync.sync(call, ownerOf(call.caller), { ...request, version: Number(version) });
      return synced instanceof Refusal ? synced : { device: toProto(synced) };
    },

    listSyncedDevices: async ({ pageSize, pageToken }, call) => {
      const page = { position: pageTokens.read(call, pageToken), size: pageSize || 50 };
      const { rows, next } = await call.unit((tx) => syncedDeviceRepository(tx).list(ownerOf(call.caller), page));
      const devices = rows.map(({ device, ...blob }) =>
        toProto({ device, blob: { ...blob, version: device.version } }),
      );
      return { devices, nextPageToken: pageTokens.write(call, next) };
    },

    getSyncedDevice: async ({ syncedDeviceId, version }, call) => {
      const wanted = { syncedDeviceId, version: Number(version) };
      const found = await call.unit((tx) => sync.read(tx, ownerOf(call.caller), wanted));
      return found ? { device: toProto(found), blob: found.blob.blob } : new Refusal("NOT_FOUND");
    },

    deleteSyncedDevice: async ({ syncedDeviceId }, call) =>
      (await sync.delete(call, ownerOf(call.caller), syncedDeviceId)) ? {} : new Refusal("NOT_FOUND"),
  } satisfies Handlers<typeof MfaService>;

  return { user };
}
