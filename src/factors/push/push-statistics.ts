import type { Call } from "../../core/call.ts";
import { createTurnTaking } from "../../core/turn-taking.ts";
import { type Position, START } from "../../db/page.ts";
import type { PushChallengeRow, Window } from "./push-challenges.repository.ts";
import { pushStatisticsRepository } from "./push-statistics.repository.ts";

/** Requests, or hours, that one unit reads: others must not wait while very many are counted. */
const STEP = 500;
const SECOND_MS = 1_000;

/** The time that half of the answers took at most. Kept by the second, so that only the second of the middle is sorted. */
function createMedian() {
  const bySecond = new Map<number, number[]>();
  let count = 0;
  return {
    add(answerMs: number) {
      const second = Math.floor(answerMs / SECOND_MS);
      const alike = bySecond.get(second);
      if (alike) alike.push(answerMs);
      else bySecond.set(second, [answerMs]);
      count += 1;
    },
    /** Undefined without answers. */
    value(): number | undefined {
      let before = Math.floor((count - 1) / 2);
      for (const [, times] of [...bySecond].sort(([a], [b]) => a - b)) {
        if (before < times.length) return times.sort((a, b) => a - b)[before];
        before -= times.length;
      }
      return undefined;
    },
  };
}

/** How many requests the limits refused in the hours that begin in a window. */
async function countBlocked(call: Call, window: Window): Promise<number> {
  let blocked = 0;
  let position: Position | undefined = START;
  while (position !== undefined && !call.signal.aborted) {
    const page: { position: Position; size: number } = { position, size: STEP };
    const { rows, next } = await call.read((tx) => pushStatisticsRepository(tx).listBlocks(window, page));
    for (const { count } of rows) blocked += count;
    position = next;
  }
  return blocked;
}

type Counted = PushChallengeRow["state"] | "expired";

/** Counts the requests of a window by what became of them. */
export async function countRequests(call: Call, window: Window) {
  const states = new Map<Counted, number>();
  const reasons = new Map<PushChallengeRow["denyReason"], number>();
  const median = createMedian();
  const takeTurn = createTurnTaking();
  let position: Position | undefined = START;
  while (position !== undefined && !call.signal.aborted) {
    const page: { position: Position; size: number } = { position, size: STEP };
    const { rows, next } = await call.read((tx) => pushStatisticsRepository(tx).list(window, page));
    for (const { state, denyReason, expireTime, answerMs } of rows) {
      const counted: Counted = state === "pending" && expireTime <= call.now ? "expired" : state;
      states.set(counted, (states.get(counted) ?? 0) + 1);
      if (denyReason !== "") reasons.set(denyReason, (reasons.get(denyReason) ?? 0) + 1);
      if (answerMs !== null) median.add(answerMs);
    }
    await takeTurn();
    position = next;
  }
  const sum = (...among: Counted[]) => among.reduce((total, state) => total + (states.get(state) ?? 0), 0);
  return {
    ...{ total: sum(...states.keys()), pending: sum("pending"), expired: sum("expired") },
    ...{ approved: sum("approved", "redeemed"), denied: sum("denied") },
    ...{ failed: sum("failed"), cancelled: sum("cancelled"), blocked: await countBlocked(call, window) },
    reasons: [...reasons].map(([reason, count]) => ({ reason, count })),
    medianMs: median.value(),
  };
}
