import { recordUpdate } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Renaming } from "./devices.repository.ts";
import type { Factor } from "./factor.ts";

/** Where a kind keeps its devices, as far as renaming goes. */
interface Devices<Key, Row> {
  find(key: Key, now: Date): Promise<Row | undefined>;
  rename(key: Key & Omit<Renaming, "now">, now: Date): Promise<Row | undefined>;
}

/** Renames a device that is still of the version that the user saw. */
export const renameDevice = <Row extends { readonly displayName: string; readonly version: number }>(
  call: Call,
  key: Owner & { readonly deviceId: string },
  { displayName, version }: { readonly displayName: string | undefined; readonly version: number },
  { type, devicesOf }: { type: Factor["type"]; devicesOf: (tx: Tx) => Devices<typeof key, Row> },
): Promise<Row | Refusal> =>
  call.unit(async (tx) => {
    const { tenantId, userId, deviceId: targetId } = key;
    const owner = { tenantId, userId };
    await userRepository(tx).serialise(owner, call.now);
    const devices = devicesOf(tx);
    const before = await devices.find(key, call.now);
    if (!before) return new Refusal("NOT_FOUND");
    if (before.version !== version) {
      return new Refusal("STALE_VERSION", { metadata: { version: String(before.version) } });
    }
    if (displayName === undefined || displayName === before.displayName) return new Refusal("EMPTY_UPDATE");
    const device = await devices.rename({ ...key, displayName, version }, call.now);
    if (!device) return new Refusal("CONFLICT");
    const action = `${type.toLowerCase()}.renamed`;
    await recordUpdate(tx, call, { owner, type: "FACTOR_UPDATED", factorType: type, action, targetId });
    return device;
  });
