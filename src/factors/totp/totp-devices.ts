import { recordAudit, recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { userRepository } from "../../users/users.repository.ts";
import { renameDevice } from "../devices.ts";
import type { FactorSet } from "../factor.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";

type Key = Owner & { deviceId: string };
const ownerOf = ({ tenantId, userId }: Key): Owner => ({ tenantId, userId });

type Repository = ReturnType<typeof totpRepository>;

/** A change of a device's state, as a row of a table. */
interface Turn {
  /** One conditional statement; undefined when the device was not in a state to be turned from. */
  apply(devices: Repository, key: Key, now: Date): Promise<TotpDeviceRow | undefined>;
  /** The state that it leads to, in which a repeat finds the device. */
  readonly to: TotpDeviceRow["state"];
  readonly event: "FACTOR_ENABLED" | "FACTOR_DISABLED" | "FACTOR_REMOVED";
  readonly action: string;
}

const turns = {
  enable: {
    apply: (devices, key, now) => devices.enable(key, now),
    to: "active",
    event: "FACTOR_ENABLED",
    action: "totp.enabled",
  },
  disable: {
    apply: (devices, key, now) => devices.disable(key, now),
    to: "disabled",
    event: "FACTOR_DISABLED",
    action: "totp.disabled",
  },
  revoke: {
    apply: (devices, key, now) => devices.revoke(key, now),
    to: "revoked",
    event: "FACTOR_REMOVED",
    action: "totp.revoked",
  },
} as const satisfies Record<string, Turn>;

/** Who may not lose their last factor unawares, and why it is done where somebody else does it. */
export interface RemovalConsent {
  /** The user knows that it may leave them without a factor. */
  readonly confirmed: boolean;
  readonly reason?: string;
  /** On whose behalf a backend does it; empty for its own. */
  readonly actor?: string;
}

/** What users do with the devices that they have, and others with theirs. */
export function createTotpDevices(set: FactorSet) {
  const record = async (
    tx: Tx,
    call: Call,
    key: Key,
    { event, action }: Pick<Turn, "event" | "action">,
    { reason, actor, write = recordChange }: RemovalConsent & { write?: typeof recordChange | typeof recordAudit },
  ) => {
    const change = {
      owner: ownerOf(key),
      type: event,
      factorType: "TOTP",
      action,
      targetId: key.deviceId,
    } as const;
    await write(tx, call, { ...change, ...(reason && { reason }), ...(actor && { after: { actor } }) });
  };

  return {
    /** Renames a device that is still of the version that the user saw. */
    rename: (call: Call, key: Key, named: { displayName: string | undefined; version: number }) =>
      renameDevice(call, key, named, { type: "TOTP", devicesOf: totpRepository }),

    /** Enables, disables or revokes a device. One that is so already is answered as it is. */
    async turn(
      call: Call,
      key: Key,
      name: keyof typeof turns,
      stated: RemovalConsent,
    ): Promise<TotpDeviceRow | Refusal> {
      const turn = turns[name];
      return call.unit(async (tx) => {
        const devices = totpRepository(tx);
        await userRepository(tx).serialise(key, call.now);
        const device = await turn.apply(devices, key, call.now);
        if (!device) {
          const found = await devices.find(key, call.now);
          if (!found) return new Refusal("NOT_FOUND");
          if (found.state !== turn.to) return new Refusal("WRONG_STATE");
          await record(tx, call, key, turn, { ...stated, write: recordAudit });
          return found;
        }
        if (name !== "enable") await set.guardLast(tx, call, ownerOf(key), stated.confirmed);
        await record(tx, call, key, turn, stated);
        return device;
      });
    },

    /** Forgets a device; a pending one ends its enrollment. */
    async delete(call: Call, key: Key, stated: RemovalConsent): Promise<Refusal | undefined> {
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(key, call.now);
        const device = await totpRepository(tx).delete(key, call.now);
        if (!device) return new Refusal("NOT_FOUND");
        if (device.state === "active") await set.guardLast(tx, call, ownerOf(key), stated.confirmed);
        // One that was pending or revoked was no factor: the user can prove what they could before.
        const write = device.state === "pending" || device.state === "revoked" ? recordAudit : recordChange;
        await record(tx, call, key, { event: "FACTOR_REMOVED", action: "totp.deleted" }, { ...stated, write });
        return undefined;
      });
    },

    /** Disables every active device; says how many there were. */
    async disableAll(call: Call, owner: Owner, stated: RemovalConsent): Promise<number> {
      return call.unit(async (tx) => {
        const devices = totpRepository(tx);
        await userRepository(tx).serialise(owner, call.now);
        const active = await devices.listActive(owner);
        for (const { deviceId } of active) await devices.disable({ ...owner, deviceId }, call.now);
        if (active.length > 0) await set.guardLast(tx, call, owner, stated.confirmed);
        for (const { deviceId } of active) await record(tx, call, { ...owner, deviceId }, turns.disable, stated);
        if (active.length === 0)
          await record(tx, call, { ...owner, deviceId: "" }, turns.disable, { ...stated, write: recordAudit });
        return active.length;
      });
    },
  };
}
