import { randomSecret } from "../crypto/random.ts";

/** The lock rules of a tenant. */
export type LockProfile = "standard" | "pci";

interface LockRule {
  /** The attempts judged before the user is locked. */
  readonly failures: number;
  /** The durations of the first lock, the second …; the last one repeats. */
  readonly minutes: readonly [number, ...number[]];
}

/** PCI DSS 4.0.1 §8.3.4 allows ten failures and asks for thirty minutes. */
const rules: Readonly<Record<LockProfile, LockRule>> = {
  standard: { failures: 5, minutes: [1, 5, 15, 60] },
  pci: { failures: 10, minutes: [30] },
};

/** The failures judged in any 24 hours, successes in between or not. */
export const DAY_FAILURES = 20;
/** The failures in a row that lock until an administrator clears it (NIST SP 800-63B-4 §3.2.2). */
export const FINAL_FAILURES = 100;
/** The end of a lock that does not end by itself. */
export const NEVER = new Date("9999-12-31T00:00:00.000Z");

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** The columns of a row of attempts that decide on locks. */
export interface AttemptCount {
  /** In this row of attempts, since the last lock or success. */
  readonly failures: number;
  /** In a row, across locks. */
  readonly consecutiveFailures: number;
  /** Locks since the last success. */
  readonly locks: number;
  /** The marks of the failures of the last day. */
  readonly recent: string;
}

/**
 * A mark: an attempt's time with a random part, so that attempts of one millisecond are not taken back together. It
 * ends in "!" until the attempt is found wrong.
 */
export const markOf = (now: Date): string => `${now.getTime().toString(36)}.${randomSecret(6).toString("base64url")}! `;

/** The mark of an attempt that was found wrong. */
export const wrongMark = (mark: string): string => mark.replace("!", "");

/** Longer than any attempt is judged: what is open for longer was lost in a crash, and counts as wrong. */
const JUDGED_MS = MINUTE_MS;

const timeOf = (mark: string) => Number.parseInt(mark, 36); // up to the dot

/** The marks of the 24 hours before `now`. Those of a future that was taken back count as well. */
export const marksOfDay = (recent: string, now: Date): string[] =>
  recent
    .split(" ")
    .filter((mark) => mark !== "" && timeOf(mark) > now.getTime() - DAY_MS)
    .map((mark) => `${mark} `);

/** Whether an attempt may still turn out right: it was counted and is being judged. */
export const isJudging = (recent: string, now: Date): boolean =>
  recent.split(" ").some((mark) => mark.endsWith("!") && timeOf(mark) > now.getTime() - JUDGED_MS);

/** How many more attempts are judged before one locks, after the one that was just counted and did not. */
export function attemptsLeft(counted: AttemptCount, profile: LockProfile, now: Date): number {
  const left = [
    rules[profile].failures - counted.failures,
    DAY_FAILURES - marksOfDay(counted.recent, now).length,
    FINAL_FAILURES - counted.consecutiveFailures,
  ];
  return Math.max(0, Math.min(...left));
}

/** Until when the attempt that was just counted locks; undefined when it does not. */
export function lockedUntil(counted: AttemptCount, profile: LockProfile, now: Date): Date | undefined {
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
