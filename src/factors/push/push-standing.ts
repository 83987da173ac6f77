import { Refusal } from "../../core/refusal.ts";
import type { Owner, Tx } from "../../db/store.ts";
import type { ChallengeOutcomes } from "../factor.ts";
import type { PushChallengeRow, ShownState } from "./push-challenges.repository.ts";

/** Where a request stands, with everything that ended it without touching it. */
export async function pushStateOf(
  tx: Tx,
  row: PushChallengeRow,
  challenges: Pick<ChallengeOutcomes, "stateOf">,
  now: Date,
): Promise<ShownState> {
  if (row.state !== "pending" && row.state !== "approved") return row.state;
  if (row.expireTime <= now) return "expired";
  const owner: Owner = { tenantId: row.tenantId, userId: row.userId };
  const state = await challenges.stateOf(tx, owner, row.challengeId, now);
  if (state === undefined || state === "EXPIRED") return "expired";
  if (row.state === "pending") return state === "PENDING" ? "pending" : "cancelled";
  if (state === "REDEEMED") return "redeemed";
  // Pending still where it was one of several proofs.
  return state === "PROVEN" || state === "PENDING" ? "approved" : "cancelled";
}

/**
 * Whether a request can stand so at `now`, as far as its row says; an empty state stands for all. One that is open may have
 * been ended without its row being written.
 */
export function mayStand({ state, expireTime }: PushChallengeRow, wanted: ShownState | "", now: Date): boolean {
  const isOpen = state === "pending" || state === "approved";
  if (wanted === "") return true;
  if (!isOpen) return state === wanted;
  if (expireTime <= now) return wanted === "expired";
  return wanted === state || wanted === "cancelled" || wanted === "redeemed" || wanted === "expired";
}

/** Why a request that stands so cannot be answered. */
export const undecidable = (state: ShownState): Refusal =>
  state === "expired" || state === "cancelled"
    ? new Refusal("CHALLENGE_EXPIRED")
    : new Refusal("WRONG_STATE", { metadata: { state: state.toUpperCase() } });
