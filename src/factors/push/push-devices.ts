import type { PushAddress } from "../../../gen/mfa/v1/push_pb.js";
import { recordAudit, recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Owner } from "../../db/store.ts";
import { userRepository } from "../../users/users.repository.ts";
import { renameDevice } from "../devices.ts";
import type { FactorSet } from "../factor.ts";
import type { createAddresses } from "./push-address.ts";
import { type DeviceKey, type PushDeviceRow, pushDeviceRepository } from "./push-devices.repository.ts";

const ownerOf = ({ tenantId, userId }: DeviceKey): Owner => ({ tenantId, userId });

/** What users do with the phones that they have paired, and phones with themselves. */
export function createPushDevices(set: FactorSet, addresses: ReturnType<typeof createAddresses>) {
  return {
    /** Renames a device that is still of the version that the user saw. */
    rename: (call: Call, key: DeviceKey, named: { displayName: string | undefined; version: number }) =>
      renameDevice(call, key, named, { type: "PUSH", devicesOf: pushDeviceRepository }),

    /** Ends a device. One that has ended is answered as it is. */
    async revoke(call: Call, key: DeviceKey, confirmed: boolean): Promise<PushDeviceRow | Refusal> {
      const owner = ownerOf(key);
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const devices = pushDeviceRepository(tx);
        const device = await devices.revoke(key, call.now);
        if (!device) {
          const found = await devices.find(key, call.now);
          if (!found) return new Refusal("NOT_FOUND");
          return found.state === "revoked" ? found : new Refusal("WRONG_STATE", { metadata: { state: "PENDING" } });
        }
        await set.guardLast(tx, call, owner, confirmed);
        const change = { owner, factorType: "PUSH", targetId: key.deviceId } as const;
        await recordChange(tx, call, { ...change, type: "FACTOR_REMOVED", action: "push.revoked" });
        return device;
      });
    },

    /** Puts a new address in the place of the calling device's. */
    async rotate(call: Call, key: DeviceKey, address: PushAddress | undefined): Promise<PushDeviceRow | Refusal> {
      const owner = ownerOf(key);
      const sealed = await addresses.seal(owner, key.deviceId, address);
      if (sealed instanceof Refusal) return sealed;
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const device = await pushDeviceRepository(tx).rotate({ ...key, ...sealed }, call.now);
        if (!device) return new Refusal("NOT_FOUND");
        // Providers change their tokens by themselves: nothing that a user would be told of.
        await recordAudit(tx, call, { owner, action: "push.address_changed", targetId: key.deviceId });
        return device;
      });
    },
  };
}
