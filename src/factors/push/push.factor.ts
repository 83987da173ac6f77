import { SOFTWARE_KEY } from "../amr.ts";
import type { Factor } from "../factor.ts";
import { pushChallengeRepository } from "./push-challenges.repository.ts";
import { type PushDeviceRow, pushDeviceRepository } from "./push-devices.repository.ts";

const states = { pending: "PENDING", active: "ACTIVE" } as const;

const toInstance = ({ deviceId, state, displayName, createTime, updateTime, lastUseTime }: PushDeviceRow) =>
  state === "revoked"
    ? []
    : [
        {
          factorId: deviceId,
          state: states[state],
          displayName,
          maskedTarget: "",
          createTime,
          updateTime,
          lastUseTime,
        },
      ];

/** Approvals on a phone as the registry of factors sees them. */
export const pushFactor: Factor<"PUSH"> = {
  type: "PUSH",
  word: "phone for approvals",
  receiptKind: "push_devices",
  amr: { own: "mca", of: () => [SOFTWARE_KEY, "mca"] },
  consumed: false,
  recovers: false,
  phishingResistant: false,
  canBeDeviceBound: false,
  channels: ["web-push", "fcm", "apns", "push-webhook"],
  counts: true,
  restricted: false,
  isOn: ({ push }) => push.enabled,
  isEnrollable: ({ push }) => push.enabled,
  limitOf: ({ push }) => push.maxDevices,
  // A phone was typed as many digits as the tenant has come to ask for since.
  stillAccepts: ({ numberLength }, { push }) => (numberLength ?? push.numberDigits) >= push.numberDigits,
  isEnrolled: async (tx, owner) => (await pushDeviceRepository(tx).listActive(owner)).length > 0,
  list: async (tx, owner, now) => (await pushDeviceRepository(tx).listAll(owner, now)).flatMap(toInstance),
  listHoldings: (tx, span) => pushDeviceRepository(tx).listHoldings(span),
  endPending: async (tx, owner) => {
    await pushDeviceRepository(tx).deletePending(owner);
  },
  forget: async (tx, owner) => {
    await pushChallengeRepository(tx).deleteAll(owner);
    return pushDeviceRepository(tx).deleteAll(owner);
  },
  forgetOne: async (tx, owner, deviceId, now) => {
    const devices = pushDeviceRepository(tx);
    const key = { ...owner, deviceId };
    // Of a paired one the fact is kept for a while, without key and address, as when its user ends it.
    if (await devices.revoke(key, now)) return 1;
    if ((await devices.find(key, now))?.state !== "pending") return 0;
    return (await devices.deletePending(owner)).length;
  },
};
