import { setImmediate as nextTurn } from "node:timers/promises";

/** The time after which long work yields to the event loop. */
const WORK_MS = 5;

/** Yields to the event loop when work has run for long; to be called at each step of a loop over much data. */
export function createTurnTaking(): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < WORK_MS) return;
    await nextTurn();
    since = performance.now();
  };
}
