import { randomSecret } from "../crypto/random.ts";

/** How failed attempts lock: as the tenant has it. */
export type LockProfile = "standard" | "pci";

interface LockRule {
  /** How many attempts are judged before the user is locked. */
  readonly failures: number;
  /** How long the first lock lasts, the second …; the last of them for good. */
  readonly minutes: readonly [number, ...number[]];
}

/** PCI DSS 4.0.1 §8.3.4 allows ten failures and asks for thirty minutes. */
const rules: Readonly<Record<LockProfile, LockRule>> = {
  standard: { failures: 5, minutes: [1, 5, 15, 60] },
  pci: { failures: 10, minutes: [30] },
};

/** How many failures are judged in any 24 hours, whatever lies between them. */
export const DAY_FAILURES = 20;
/** How many failures in a row lock until an administrator clears it (NIST SP 800-63B-4 §3.2.2). */
export const FINAL_FAILURES = 100;
/** The end of a lock that does not end by itself. */
export const NEVER = new Date("9999-12-31T00:00:00.000Z");

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** What a row of attempts holds, as far as locking goes. */
export interface Counted {
  /** In this row of attempts, since the last lock or success. */
  readonly failures: number;
  /** In a row, across locks. */
  readonly consecutiveFailures: number;
  /** Locks since the last success. */
  readonly locks: number;
  /** The marks of the failures of the last day. */
  readonly recent: string;
}

/** When an attempt was made, and which it is: attempts of one millisecond must not be taken back together. */
export const markOf = (now: Date): string => `${now.getTime().toString(36)}.${randomSecret(6).toString("base64url")} `;

const timeOf = (mark: string) => Number.parseInt(mark, 36); // up to the dot

/** The marks of the 24 hours before `now`. Those of a future that was taken back count as well. */
export const marksOfDay = (recent: string, now: Date): string[] =>
  recent
    .split(" ")
    .filter((mark) => mark !== "" && timeOf(mark) > now.getTime() - DAY_MS)
    .map((mark) => `${mark} `);

/** How many more attempts are judged before one locks, after the one that was just counted and did not. */
export function attemptsLeft(counted: Counted, profile: LockProfile, now: Date): number {
  const left = [
    rules[profile].failures - counted.failures,
    DAY_FAILURES - marksOfDay(counted.recent, now).length,
    FINAL_FAILURES - counted.consecutiveFailures,
  ];
  return Math.max(0, Math.min(...left));
}

/** Until when the attempt that was just counted locks; undefined when it does not. */
export function lockedUntil(counted: Counted, profile: LockProfile, now: Date): Date | undefined {
  const { failures, minutes } = rules[profile];
  if (counted.consecutiveFailures >= FINAL_FAILURES) return NEVER;
  const ends: number[] = [];
  if (counted.failures >= failures) ends.push((minutes[counted.locks] ?? minutes.at(-1) ?? 0) * MINUTE_MS);
  const day = marksOfDay(counted.recent, now);
  // Until the oldest of them is a day old.
  const oldest = Math.min(...day.map(timeOf));
  if (day.length >= DAY_FAILURES) ends.push(Math.min(oldest + DAY_MS - now.getTime(), DAY_MS));
  return ends.length === 0 ? undefined : new Date(now.getTime() + Math.max(...ends));
}
