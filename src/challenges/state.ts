import type { Tx } from "../db/store.ts";
import { wasLockedSince } from "../protection/attempts.ts";
import { userRepository } from "../users/users.repository.ts";
import { type ChallengeKey, type ChallengeRow, challengeRepository } from "./challenges.repository.ts";

/** Where a challenge stands, by the contract's names. */
export type State = "PENDING" | "PROVEN" | "REDEEMED" | "EXPIRED" | "CANCELLED" | "LOCKED" | "DENIED";

/** A challenge and where it stands at one moment. */
export interface CurrentChallenge {
  readonly row: ChallengeRow;
  readonly state: State;
}

const written = {
  pending: "PENDING",
  proven: "PROVEN",
  redeemed: "REDEEMED",
  cancelled: "CANCELLED",
  denied: "DENIED",
} as const;

/** Whether nothing can come of it any more. */
export const hasChallengeEnded = (state: State): boolean => state !== "PENDING" && state !== "PROVEN";

/**
 * What a row stands for at `now`: beside what was written, time ends it, and a change of the user's factors, and a lock
 * since it was created, of whatever challenge. The unit that decides on it has serialised the user, so the epoch holds.
 */
export async function currentStateOf(tx: Tx, row: ChallengeRow, now: Date): Promise<CurrentChallenge> {
  const state = written[row.state];
  if (hasChallengeEnded(state)) return { row, state };
  if (row.expireTime <= now) return { row, state: "EXPIRED" };
  const { tenantId, userId } = row;
  const epoch = await userRepository(tx).epoch({ tenantId, userId });
  if (epoch !== row.mfaEpoch) return { row, state: "CANCELLED" };
  const locked = await wasLockedSince(tx, { tenantId, userId }, row.createTime);
  return { row, state: locked ? "LOCKED" : state };
}

/** Finds a challenge and where it stands; undefined when there is none of this owner. */
export async function findCurrentChallenge(
  tx: Tx,
  key: ChallengeKey,
  now: Date,
): Promise<CurrentChallenge | undefined> {
  const row = await challengeRepository(tx).find(key);
  return row && currentStateOf(tx, row, now);
}
