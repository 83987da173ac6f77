/** In microseconds: systems count the time of a thread in ticks of some 4 ms. */
const TICK = 4_000;
/** Less than this is too little to be compared. */
const LEAST = 15 * TICK;
const TRIES = 3;

async function leastCpu(work: () => unknown): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let n = 0; n < TRIES; n++) {
    const before = process.threadCpuUsage();
    await work();
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, user + system);
  }
  return least;
}

/**
 * How many times as much of the processor an input of four times the size takes: about 4 for work that grows with it,
 * 16 where it grows with its square. Undefined where it is too little to tell. No clock: others on the machine change
 * nothing.
 */
export async function growthOf(work: (size: number) => unknown, size: number): Promise<number | undefined> {
  const large = await leastCpu(() => work(4 * size));
  if (large < LEAST) return undefined;
  return large / Math.max(TICK, await leastCpu(() => work(size)));
}
