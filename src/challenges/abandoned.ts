import { deleteEnded } from "../db/ended.ts";
import type { Tx } from "../db/store.ts";
import { eventRepository } from "../events/events.repository.ts";
import { recordUpkeepEvent } from "../events/events.ts";
import type { ChallengeRow } from "./challenges.repository.ts";
import { challenges } from "./challenges.table.ts";

/**
 * Records an event for deleted challenges that expired while they could still be proved: a log-in that somebody with
 * the password began and did not finish.
 */
export async function noteAbandoned(tx: Tx, forgotten: readonly ChallengeRow[]): Promise<void> {
  for (const row of forgotten) {
    const { tenantId, userId, challengeId, preparedType, mfaEpoch: epoch, createTime: since, expireTime: until } = row;
    if (row.state !== "pending") continue;
    // Judged by events before the expiry; later locks and changes do not count.
    if (await eventRepository(tx).hasEnded({ tenantId, userId, epoch, since, until })) continue;
    const happening = { owner: { tenantId, userId }, challengeId, factorType: preparedType || "UNSPECIFIED" } as const;
    await recordUpkeepEvent(tx, { ...happening, type: "CHALLENGE_ABANDONED" }, row.expireTime);
  }
}

const forget = deleteEnded(challenges, "expireTime");

/** Deletes challenges that expired before; returns how many. */
export async function forgetChallenges(tx: Tx, before: Date, limit: number): Promise<number> {
  const rows = await tx.run(forget, { before, limit });
  await noteAbandoned(tx, rows);
  return rows.length;
}
