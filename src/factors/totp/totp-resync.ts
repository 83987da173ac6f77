import { timingSafeEqual } from "node:crypto";
import { recordUpdate } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Owner } from "../../db/store.ts";
import { prove } from "../../protection/proof.ts";
import { userRepository } from "../../users/users.repository.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import type { Match } from "./totp-code.ts";
import { codeOf, stepAt } from "./totp-code.ts";
import { type Judge, widestDrift } from "./totp-judge.ts";

/** Two codes that an app has shown one after the other. */
export interface CodePair {
  readonly first: string;
  readonly second: string;
}

/** Where in the wide window the pair stands, if anywhere; only steps that are not spent count. */
function matchPair(device: TotpDeviceRow, secret: Buffer, { first, second }: CodePair, now: Date): Match | undefined {
  const { deviceId, lastStep } = device;
  const current = stepAt(now, device);
  const widest = widestDrift(device);
  const given = Buffer.from(`${first} ${second}`);
  let match: Match | undefined;
  for (let drift = -widest; drift <= widest; drift++) {
    const step = current + drift;
    if (step < 1) continue;
    const pair = Buffer.from(`${codeOf(secret, step - 1, device)} ${codeOf(secret, step, device)}`);
    const equal = pair.length === given.length && timingSafeEqual(pair, given);
    if (equal && step - 1 > lastStep) match = { deviceId, step, driftSteps: drift, driftHint: 0 };
  }
  return match;
}

/**
 * Sets a device's clock by two codes in a row (RFC 4226 §7.4), within an hour to either side. Both are spent.
 */
export async function resync(call: Call, key: Owner & { deviceId: string }, pair: CodePair, judge: Judge) {
  const { tenantId, userId, deviceId } = key;
  const owner = { tenantId, userId };
  return prove(call, owner, {
    factorType: "TOTP",
    counter: "typed-code",
    load: async (tx) => {
      const device = await totpRepository(tx).find(key, call.now);
      if (!device) return new Refusal("NOT_FOUND");
      return device.state === "active" ? device : new Refusal("WRONG_STATE");
    },
    judge: async (device) => {
      const match = await judge.withSecret(device, (secret) => matchPair(device, secret, pair, call.now));
      return match && { match, before: device.driftSteps };
    },
    spend: async (tx, { match, before }) => {
      await userRepository(tx).serialise(owner, call.now);
      const oldest = match.step - 1; // both codes are spent, or neither
      const device = await totpRepository(tx).advance({ ...owner, ...match, oldest }, call.now);
      if (!device) return undefined;
      const change = { owner, factorType: "TOTP", targetId: deviceId } as const;
      await recordUpdate(tx, call, { ...change, type: "FACTOR_UPDATED", action: "totp.resynchronised" });
      return { device, correctionMs: (match.driftSteps - before) * device.periodSeconds * 1000 };
    },
  });
}
