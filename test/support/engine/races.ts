/** `npm run faults` takes its time, `npm test` does not. */
export const isFull = process.env.MFA_ROUNDS === "full";

/** How often a race is run. */
export const rounds = isFull ? 20 : 1;

/** What so many calls answer, each of which is told how many came before it. */
export const times = <T>(n: number, call: (index: number) => T): T[] =>
  Array.from({ length: n }, (_, index) => call(index));
