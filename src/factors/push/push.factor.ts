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
export const pushFactor: Factor = {
  type: "PUSH",
  counts: true,
  restricted: false,
  isEnrollable: ({ push }) => push.enabled,
  isEnrolled: async (tx, owner) => (await pushDeviceRepository(tx).listActive(owner)).length > 0,
  list: async (tx, owner, now) => (await pushDeviceRepository(tx).listAll(owner, now)).flatMap(toInstance),
  forget: async (tx, owner) => {
    await pushChallengeRepository(tx).deleteAll(owner);
    return pushDeviceRepository(tx).deleteAll(owner);
  },
};
