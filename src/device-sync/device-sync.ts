import { createHash } from "node:crypto";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { userRepository } from "../users/users.repository.ts";
import { type SyncedBlobRow, type SyncedDeviceRow, syncedDeviceRepository } from "./synced-devices.repository.ts";

/** What an app stores. */
export interface Syncing {
  /** Empty for a new app. */
  readonly syncedDeviceId: string;
  /** Empty leaves the name. */
  readonly displayName: string;
  readonly blob: Uint8Array;
  /** SHA-256, as the app computed it. */
  readonly checksum: Uint8Array;
  /** The version it is based on; 0 for a new app. */
  readonly version: number;
}

/** What is known of an app, without its blob. */
export interface Synced {
  readonly device: SyncedDeviceRow;
  readonly blob: Pick<SyncedBlobRow, "size" | "checksum" | "version">;
}

const MAX_DEVICES = 10;
const KEPT_VERSIONS = 3;

const wrong = (field: string) => new Refusal("INVALID_FIELD", { metadata: { field } });
const stale = (version: number) => new Refusal("STALE_VERSION", { metadata: { version: String(version) } });

/**
 * Keeps what authenticator apps have encrypted for themselves. Versions go up by one, each based on the one before: of
 * two apps that sync at once one is told to read again. The service's clock dates them, never the app's.
 */
export function createDeviceSync() {
  const begin = async (tx: Tx, call: Call, owner: Owner, { version, displayName }: Syncing) => {
    if (version !== 0) return new Refusal("NOT_FOUND");
    const devices = syncedDeviceRepository(tx);
    if ((await devices.count(owner)) >= MAX_DEVICES) {
      return new Refusal("LIMIT_REACHED", { metadata: { limit: String(MAX_DEVICES) } });
    }
    const named = { syncedDeviceId: newId(), displayName: displayName || "Authenticator app" };
    const device = { ...owner, ...named, version: 1, createTime: call.now, updateTime: call.now };
    await devices.insert(device);
    return device;
  };

  const goOn = async (tx: Tx, call: Call, owner: Owner, { syncedDeviceId, version, displayName }: Syncing) => {
    const devices = syncedDeviceRepository(tx);
    const known = await devices.find({ ...owner, syncedDeviceId });
    if (!known) return new Refusal("NOT_FOUND");
    if (known.version !== version) return stale(known.version);
    const from = { ...owner, syncedDeviceId, version };
    return (await devices.advance(from, displayName || known.displayName, call.now)) ?? stale(version + 1);
  };

  return {
    /** Stores the next version. */
    async sync(call: Call, owner: Owner, syncing: Syncing): Promise<Synced | Refusal> {
      const checksum = createHash("sha256").update(syncing.blob).digest();
      if (!checksum.equals(syncing.checksum)) return wrong("checksum");
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const device = await (syncing.syncedDeviceId === "" ? begin : goOn)(tx, call, owner, syncing);
        if (device instanceof Refusal) return device;
        const { syncedDeviceId, version } = device;
        const devices = syncedDeviceRepository(tx);
        const blob = { ...owner, syncedDeviceId, version, checksum, size: syncing.blob.length, createTime: call.now };
        await devices.insertBlob({ ...blob, blob: Buffer.from(syncing.blob) });
        await devices.deleteBlobs({ ...owner, syncedDeviceId, version: version - KEPT_VERSIONS });
        await recordAudit(tx, call, { owner, action: "synced_device.stored", targetId: syncedDeviceId });
        return { device, blob };
      });
    },

    /** One of the versions that are kept; 0 for the newest. */
    async read(tx: Tx, owner: Owner, { syncedDeviceId, version }: { syncedDeviceId: string; version: number }) {
      const devices = syncedDeviceRepository(tx);
      const device = await devices.find({ ...owner, syncedDeviceId });
      const wanted = version || device?.version || 0;
      const blob = device && (await devices.findBlob({ ...owner, syncedDeviceId, version: wanted }));
      return device && blob ? { device, blob } : undefined;
    },

    /** Forgets an app and everything that it stored; says whether there was one. */
    async delete(call: Call, owner: Owner, syncedDeviceId: string): Promise<boolean> {
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const devices = syncedDeviceRepository(tx);
        const known = await devices.find({ ...owner, syncedDeviceId });
        if (!known || !(await devices.delete({ ...owner, syncedDeviceId }))) return false;
        await devices.deleteBlobs({ ...owner, syncedDeviceId, version: known.version });
        await recordAudit(tx, call, { owner, action: "synced_device.deleted", targetId: syncedDeviceId });
        return true;
      });
    },
  };
}
