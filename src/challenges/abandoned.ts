import { deleteEnded } from "../db/ended.ts";
import type { Tx } from "../db/store.ts";
import { recordUpkeepEvent } from "../events/events.ts";
import type { ChallengeRow } from "./challenges.repository.ts";
import { challenges } from "./challenges.table.ts";
import { standingOf } from "./standing.ts";

/**
 * Tells of challenges that are being forgotten which of them ran out while they could still be proved: a log-in that
 * somebody with the password began and did not finish.
 */
export async function noteAbandoned(tx: Tx, forgotten: readonly ChallengeRow[]): Promise<void> {
  for (const row of forgotten) {
    const { state } = await standingOf(tx, row, new Date(row.expireTime.getTime() - 1));
    if (state !== "PENDING") continue;
    const { tenantId, userId, challengeId, preparedType } = row;
    const happening = { owner: { tenantId, userId }, challengeId, factorType: preparedType || "UNSPECIFIED" } as const;
    await recordUpkeepEvent(tx, { ...happening, type: "CHALLENGE_ABANDONED" }, row.expireTime);
  }
}

const forget = deleteEnded(challenges, "expireTime");

/** Forgets some challenges that ran out before; answers how many. */
export async function forgetChallenges(tx: Tx, before: Date, limit: number): Promise<number> {
  const rows = await tx.run(forget, { before, limit });
  await noteAbandoned(tx, rows);
  return rows.length;
}
