import type { Cell, Keyring } from "../../crypto/keyring.ts";
import { randomSecret } from "../../crypto/random.ts";
import type { Owner } from "../../db/store.ts";
import type { TotpDeviceRow } from "./totp.repository.ts";
import { type CodeParameters, type Match, matchStep, stepAt, WINDOW } from "./totp-code.ts";

/** RFC 4226 R6 recommends 160 bits. */
export const SECRET_BYTES = 20;
/** How far a clock is followed by codes of log-ins: five minutes of the usual steps. */
export const MAX_DRIFT = 10;
/** How far a clock may be off that two codes in a row set, in seconds. */
const RESYNC_S = 60 * 60;

/** The furthest drift that two codes in a row can set, in steps of the device. */
export const widestDrift = ({ periodSeconds }: Pick<CodeParameters, "periodSeconds">): number =>
  Math.ceil(RESYNC_S / periodSeconds);

/** Where a device's secret is sealed for. */
export const cellOf = ({ tenantId, userId }: Owner, deviceId: string): Cell => ({
  tenantId,
  userId,
  row: deviceId,
  column: "totp_devices.sealed_secret",
});

/** Judged in place of the devices of a user who has none, so that the answer takes as long. */
const decoy = {
  secret: randomSecret(SECRET_BYTES),
  parameters: { algorithm: "sha1", digits: 6, periodSeconds: 30 },
} as const;

/**
 * What a code says about the clock behind it (RFC 6238 §6): two codes in a row that are off by a step alike move the
 * drift by it. One is no sign: whoever types slowly sends the code of the step before.
 */
export function learnDrift(
  { driftSteps, driftHint }: Pick<TotpDeviceRow, "driftSteps" | "driftHint">,
  off: number,
): Pick<Match, "driftSteps" | "driftHint"> {
  const moved = driftSteps + off;
  // Further out is followed only after two codes in a row have set it there, and then towards the right time.
  const isTooFar = Math.abs(moved) > MAX_DRIFT && Math.abs(moved) >= Math.abs(driftSteps);
  if (off === 0 || off !== driftHint || isTooFar) return { driftSteps, driftHint: off };
  return { driftSteps: moved, driftHint: 0 };
}

/** What a code is judged by. */
export interface TotpComparison {
  readonly code: string;
  readonly now: Date;
  /** Accepts only the very step that the device's clock is at. */
  readonly strict: boolean;
  /** In place of the device's own, for apps that ignore them. */
  readonly parameters?: CodeParameters;
}

/** Compares codes with devices, outside of units. */
export function createJudge(keyring: Keyring) {
  /** Runs `work` with a device's secret and wipes it afterwards. */
  const withSecret = async <T>(device: TotpDeviceRow, work: (secret: Buffer) => T): Promise<T> => {
    const secret = await keyring.open(device.sealedSecret, cellOf(device, device.deviceId));
    try {
      return work(secret);
    } finally {
      secret.fill(0);
    }
  };

  const matchOf = async (device: TotpDeviceRow, judging: TotpComparison): Promise<Match | undefined> => {
    const { code, now, strict, parameters = device } = judging;
    const { deviceId, lastStep } = device;
    // Within what it can have been set to, whatever was written into its row.
    const widest = widestDrift(device);
    const drift = Math.max(-widest, Math.min(widest, device.driftSteps));
    const expected = { code, now, lastStep, drift, window: strict ? 0 : WINDOW };
    const step = await withSecret(device, (secret) => matchStep(secret, parameters, expected));
    return step === undefined
      ? undefined
      : { deviceId, step, ...learnDrift({ ...device, driftSteps: drift }, step - stepAt(now, parameters) - drift) };
  };

  return {
    withSecret,
    /** What the code says if it is this device's. */
    matchOf,
    /**
     * The first of the devices that the code belongs to, oldest first. Each is judged by itself: one that cannot be, as
     * its secret cannot be opened, does not spoil the others. Throws only where none can be judged, as an answer without
     * any judgement would let codes be guessed uncounted, or count right ones as wrong.
     */
    async firstOf(devices: readonly TotpDeviceRow[], judging: TotpComparison): Promise<Match | undefined> {
      if (devices.length === 0) matchStep(decoy.secret, decoy.parameters, { ...judging, lastStep: 0 });
      const failures: unknown[] = [];
      for (const device of devices) {
        try {
          const match = await matchOf(device, judging);
          if (match) return match;
        } catch (thrown) {
          failures.push(thrown);
        }
      }
      if (failures.length > 0 && failures.length === devices.length) throw failures[0];
      return undefined;
    },
  };
}

/** What `createJudge` makes. */
export type Judge = ReturnType<typeof createJudge>;
