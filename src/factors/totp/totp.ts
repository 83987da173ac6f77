import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner } from "../../db/store.ts";
import { type Proof, prove } from "../../protection/proof.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import type { CodesForEnrollment, FactorSet } from "../factor.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import type { Match } from "./totp-code.ts";
import { createTotpDevices } from "./totp-devices.ts";
import { createTotpEnrollment } from "./totp-enrollment.ts";
import { createJudge } from "./totp-judge.ts";
import { type CodePair, resync } from "./totp-resync.ts";

/** Dependencies of TOTP. */
export interface TotpOptions {
  readonly keyring: Keyring;
  /** Of the tenant: the name that authenticator apps show, what new devices are like, how strict the clock is. */
  readonly settingsOf: SettingsOf;
  readonly factorSet: FactorSet;
  readonly codes: CodesForEnrollment;
}

/** A code as a user typed it. `hideUnenrolled`: who has no device is refused like a wrong code. */
export interface TypedCode {
  readonly code: string;
  readonly hideUnenrolled: boolean;
}

const isActive = ({ state }: TotpDeviceRow) => state === "active";

/** Authenticator apps: how they come into use, prove, and end. */
export function createTotp({ keyring, settingsOf, factorSet, codes }: TotpOptions) {
  const judge = createJudge(keyring);

  /** The proof by a code of any active device. */
  const proofOf = (
    call: Call,
    owner: Owner,
    { code, hideUnenrolled }: TypedCode,
  ): Proof<readonly TotpDeviceRow[], Match, { deviceId: string }> => ({
    factorType: "TOTP",
    counter: "typed-code",
    load: async (tx) => {
      const devices = await totpRepository(tx).listUsable(owner);
      return devices.some(isActive) || hideUnenrolled ? devices : new Refusal("NOT_ENROLLED");
    },
    judge: async (devices) => {
      const { strictWindow: strict } = (await settingsOf(owner.tenantId)).totp;
      return judge.firstOf(devices.filter(isActive), { code, now: call.now, strict });
    },
    // No device was asked, so it can be meant for a disabled one only.
    failureOf: async (_, devices) => (devices.length > 0 && !devices.some(isActive) ? "DISABLED_FACTOR" : undefined),
    spend: async (tx, match) => {
      const device = await totpRepository(tx).advance({ ...owner, ...match }, call.now);
      return device && { deviceId: device.deviceId };
    },
  });

  return {
    ...createTotpEnrollment({ keyring, judge, settingsOf, codes, factorSet }),
    devices: createTotpDevices(factorSet),
    proofOf,
    /** Spends a code of any active device. */
    verify: (call: Call, owner: Owner, typed: TypedCode) =>
      prove(call, owner, { ...proofOf(call, owner, typed), isCheap: true }),
    /** Sets a device's clock by two codes in a row. */
    resync: (call: Call, key: Owner & { deviceId: string }, pair: CodePair) => resync(call, key, pair, judge),
  };
}
