import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { generateSync } from "@otplib/hotp";
import { NodeCryptoPlugin } from "@otplib/plugin-crypto-node";
import { createGuardrails } from "otplib";
import { JUDGED_SECRET_BYTES } from "../factor.ts";

/** How an authenticator makes its codes (RFC 6238 §4, RFC 4226 §5). */
export type CodeParameters = {
  readonly algorithm: "sha1" | "sha256" | "sha512";
  readonly digits: 6 | 8;
  readonly periodSeconds: number;
};

/** A device, the step its code stood for, and what that says about its clock. */
export type Match = {
  readonly deviceId: string;
  readonly step: number;
  readonly driftSteps: number;
  readonly driftHint: number;
};

/** otplib's own hands Node bare bytes, which since Node 24 cost five times what the same bytes in a KeyObject do. */
class KeyObjectPlugin extends NodeCryptoPlugin {
  override hmac(algorithm: CodeParameters["algorithm"], key: Uint8Array, data: Uint8Array): Uint8Array {
    return createHmac(algorithm, createSecretKey(key)).update(data).digest();
  }
}

const crypto = new KeyObjectPlugin();

/** RFC 4226 requires 16 bytes of a secret that we generate. Imported secrets of other systems may be shorter. */
const guardrails = createGuardrails({
  MIN_SECRET_BYTES: JUDGED_SECRET_BYTES.min,
  MAX_SECRET_BYTES: JUDGED_SECRET_BYTES.max,
});

/** Steps to either side of the expected one that are accepted: one step of network delay (RFC 6238 §5.2). */
export const WINDOW = 1;

/** The time step that an instant falls into (RFC 6238 §4.2). */
export const stepAt = (time: Date, { periodSeconds }: CodeParameters): number =>
  Math.floor(time.getTime() / 1000 / periodSeconds);

/** The code of one step. */
export const codeOf = (secret: Uint8Array, step: number, { algorithm, digits }: CodeParameters): string =>
  generateSync({ secret, counter: step, algorithm, digits, crypto, guardrails });

/** What a code is compared with. */
export interface ExpectedCode {
  readonly code: string;
  readonly now: Date;
  /** The newest spent step. */
  readonly lastStep: number;
  /** How many steps the app's clock is known to run ahead. */
  readonly drift?: number;
  /** Steps to either side that are accepted. */
  readonly window?: number;
}

/**
 * The step that a code belongs to, within the window around the app's own time; undefined when none. Every step of the
 * window is computed and compared in constant time, so that timing does not tell which one matched. When several
 * match, which is chance, one newer than `lastStep` is preferred over a spent one.
 */
export function matchStep(
  secret: Uint8Array,
  parameters: CodeParameters,
  { code, now, lastStep, drift = 0, window = WINDOW }: ExpectedCode,
): number | undefined {
  const given = Buffer.from(code);
  if (given.length !== parameters.digits) return undefined;
  const expected = stepAt(now, parameters) + drift;
  let match: number | undefined;
  for (let step = Math.max(0, expected - window); step <= expected + window; step++) {
    const equal = timingSafeEqual(Buffer.from(codeOf(secret, step, parameters)), given);
    if (equal && (match === undefined || match <= lastStep)) match = step;
  }
  return match;
}
