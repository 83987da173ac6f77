import { timingSafeEqual } from "node:crypto";
import { generateSync } from "@otplib/hotp";
import { NodeCryptoPlugin } from "@otplib/plugin-crypto-node";

/** How an authenticator makes its codes (RFC 6238 §4, RFC 4226 §5). */
export interface CodeParameters {
  readonly algorithm: "sha1" | "sha256" | "sha512";
  readonly digits: 6 | 8;
  readonly periodSeconds: number;
}

const crypto = new NodeCryptoPlugin();

/** Steps to either side of the current one that are accepted: one step of network delay (RFC 6238 §5.2). */
const WINDOW = 1;

/** The time step that an instant falls into (RFC 6238 §4.2). */
export const stepAt = (time: Date, { periodSeconds }: CodeParameters): number =>
  Math.floor(time.getTime() / 1000 / periodSeconds);

/** The code of one step. */
export const codeOf = (secret: Uint8Array, step: number, { algorithm, digits }: CodeParameters): string =>
  generateSync({ secret, counter: step, algorithm, digits, crypto });

/**
 * The step that a code belongs to, within the window around `now`; undefined when none. Every step of the window is
 * computed and compared in constant time, so that timing does not tell which one matched. When several match, which
 * is chance, one newer than `lastStep` is preferred over a spent one.
 */
export function matchStep(
  secret: Uint8Array,
  parameters: CodeParameters,
  { code, now, lastStep }: { code: string; now: Date; lastStep: number },
): number | undefined {
  const given = Buffer.from(code);
  if (given.length !== parameters.digits) return undefined;
  const current = stepAt(now, parameters);
  let match: number | undefined;
  for (let step = Math.max(0, current - WINDOW); step <= current + WINDOW; step++) {
    const equal = timingSafeEqual(Buffer.from(codeOf(secret, step, parameters)), given);
    if (equal && (match === undefined || match <= lastStep)) match = step;
  }
  return match;
}
