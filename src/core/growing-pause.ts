const FIRST_MS = 1000;

/** The pause after the n-th failure in a row, in milliseconds: one second, doubled each time, never longer than that. */
export const growingPauseMs = (failures: number, longestMs: number): number =>
  Math.min(FIRST_MS * 2 ** Math.min(failures - 1, 30), longestMs);
