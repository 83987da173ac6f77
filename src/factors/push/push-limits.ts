import type { PushChallengeRow } from "./push-challenges.repository.ts";

const MINUTE_MS = 60_000;
/** How many requests may be made in a window, whatever became of them. */
const MAX_RECENT = 5;
const WINDOW_MS = 10 * MINUTE_MS;
/** How long nothing is asked after two denials within as long. */
const COOL_DOWN_MS = 15 * MINUTE_MS;

/** How long a phone has to answer. */
export const LIFETIME_MS = 2 * MINUTE_MS;
/** How far back the limits look: two denials, each of a request that was made before it. */
export const LOOK_BACK_MS = 2 * COOL_DOWN_MS + LIFETIME_MS;

type Asked = Pick<PushChallengeRow, "state" | "createTime" | "expireTime" | "decideTime">;

/** The times of denials, newest first. */
const denials = (rows: readonly Asked[]): number[] =>
  rows
    .filter(({ state }) => state === "denied")
    .map(({ decideTime }) => decideTime?.getTime() ?? 0)
    .sort((a, b) => b - a);

/** When the newest two denials let a user be asked again; undefined where they do not matter. */
export function coolDownEnd(rows: readonly Asked[], now: Date): number | undefined {
  const [last, second] = denials(rows);
  if (last === undefined || second === undefined || last - second > COOL_DOWN_MS) return undefined;
  const end = last + COOL_DOWN_MS;
  return end > now.getTime() ? end : undefined;
}

/**
 * Until when the user is not to be asked again, against bombing: one request at a time, five in ten minutes, none for a
 * quarter of an hour after two denials. `rows` are those of the time that is looked back on, newest first; `waiting`
 * is the one that can still be answered, if it is another's.
 */
export function notBefore(rows: readonly Asked[], waiting: Asked | undefined, now: Date): number | undefined {
  const recent = rows.filter(({ createTime }) => createTime.getTime() > now.getTime() - WINDOW_MS);
  const oldest = recent[MAX_RECENT - 1];
  const ends = [
    coolDownEnd(rows, now),
    oldest && oldest.createTime.getTime() + WINDOW_MS,
    waiting?.expireTime.getTime(),
  ].filter((end) => end !== undefined);
  return ends.length === 0 ? undefined : Math.max(...ends);
}
