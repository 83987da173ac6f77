/** Milliseconds of the processor that this thread has used. */
const used = () => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

/**
 * The longest time, in milliseconds of the processor, for which the event loop was not given back while work went on: what
 * others wait for. No clock: what else the machine does changes nothing. Systems count the time of a thread in ticks of
 * some 4 ms.
 */
export async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = used();
  let isOver = false;
  const look = () => {
    const now = used();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  await work();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  isOver = true;
  return longest;
}

const ROWS = Array.from({ length: 2_000 }, (_, n) => ({ id: `row-${n}`, name: "x".repeat(40), count: n, none: null }));
/** What `ROWS` take on the machine for which bounds are stated, a core of 2.5 GHz that has nothing else to do. */
const USUAL_MS = 30;
const TIMES = 10;

/**
 * How many times as long as the machine for which bounds are stated this one takes for the same work, at least 1: a bound
 * is on work, so it is as many times as long here. The least of several tries, which a pause of the collector spares.
 */
export function slowness(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 5; n += 1) {
    const before = used();
    for (let k = 0; k < TIMES; k += 1) JSON.parse(JSON.stringify(ROWS));
    least = Math.min(least, used() - before);
  }
  return Math.max(1, least / USUAL_MS);
}
