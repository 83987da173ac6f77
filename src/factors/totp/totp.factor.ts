import type { Factor } from "../factor.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";

const states = { pending: "PENDING", active: "ACTIVE", disabled: "DISABLED" } as const;

const toInstance = ({ deviceId, state, displayName, createTime, updateTime, lastUseTime }: TotpDeviceRow) =>
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

/** TOTP as the registry of factors sees it. */
export const totpFactor: Factor<"TOTP"> = {
  type: "TOTP",
  word: "authenticator app",
  receiptKind: "totp_devices",
  amr: { own: "otp", of: () => ["otp"] },
  consumed: false,
  recovers: false,
  phishingResistant: false,
  canBeDeviceBound: false,
  channels: [],
  counts: true,
  restricted: false,
  isOn: () => true,
  isEnrollable: () => true,
  limitOf: ({ totp }) => totp.maxDevices,
  isEnrolled: async (tx, owner) => (await totpRepository(tx).listActive(owner)).length > 0,
  list: async (tx, owner, now) => (await totpRepository(tx).listAll(owner, now)).flatMap(toInstance),
  listHoldings: (tx, span) => totpRepository(tx).listHoldings(span),
  endPending: async (tx, owner) => {
    await totpRepository(tx).deletePending(owner);
  },
  forget: (tx, owner) => totpRepository(tx).deleteAll(owner),
  forgetOne: async (tx, owner, deviceId, now) =>
    (await totpRepository(tx).delete({ ...owner, deviceId }, now)) ? 1 : 0,
};
