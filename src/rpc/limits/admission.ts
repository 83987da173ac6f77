import type { DescMethod } from "@bufbuild/protobuf";
import { Refusal } from "../../core/refusal.ts";
import { Concurrency } from "./concurrency.ts";
import { FairQueue, type Waiting } from "./fair-queue.ts";
import type { OnLimit } from "./listener-limits.ts";
import { type Priority, priorityOf } from "./priorities.ts";

/** A waiting call. */
interface Waiter extends Waiting {
  readonly begin: () => void;
  readonly refuse: () => void;
}

/** The share of slots for each priority, so that urgent calls always find one. */
const SHARES: Readonly<Record<Priority, number>> = { 0: 1, 1: 0.75, 2: 0.5 };
/** The share of the longest wait for each priority. */
const PATIENCE: Readonly<Record<Priority, number>> = { 0: 1, 1: 0.5, 2: 0.25 };
const PRIORITIES: readonly Priority[] = [0, 1, 2];
/** Within this time a burst may wait five times as long: only a standing queue is overload. */
const STANDING_MS = 1_000;
const BURST_FACTOR = 5;
const LOOK_MS = 25;
const RETRY_MS = 1_000;

/** The refusal under overload. */
export const overloaded = (): Refusal => new Refusal("OVERLOADED", { retryAfterMs: RETRY_MS });

/** Admission control: bounds concurrent calls. */
export interface AdmissionControl {
  /** Runs work in its turn, or throws OVERLOADED before it starts. `peer` is the connection, for fairness. */
  run<T>(method: DescMethod, peer: string, work: () => Promise<T>): Promise<T>;
  /** The numbers of running and waiting calls. */
  counts(): { readonly running: number; readonly waiting: number; readonly places: number };
}

/**
 * Runs as many calls at once as improves throughput. The others wait by priority, and within a priority the connections
 * take turns. When the queue stands for longer than a second, calls that have waited for `maxQueueMs` are refused
 * (controlled delay), since a late reply is wasted work.
 */
export function createAdmissionControl(
  maxQueueMs: number,
  onLimit: OnLimit,
  concurrency = new Concurrency(),
): AdmissionControl {
  const queues = new Map(PRIORITIES.map((priority) => [priority, new FairQueue<Waiter>()]));
  const running = new Map<Priority, number>(PRIORITIES.map((priority) => [priority, 0]));
  let standingSince: number | undefined;
  let isTimed = false;
  const all = () => PRIORITIES.reduce<number>((sum, priority) => sum + (running.get(priority) ?? 0), 0);
  const waiting = () => PRIORITIES.reduce<number>((sum, priority) => sum + (queues.get(priority)?.size ?? 0), 0);

  const isFree = (priority: Priority) => all() < Math.ceil(concurrency.limit * SHARES[priority]);

  const next = () => {
    for (const priority of PRIORITIES) {
      const queue = queues.get(priority);
      while (queue && queue.size > 0 && isFree(priority)) {
        running.set(priority, (running.get(priority) ?? 0) + 1);
        queue.take()?.begin();
      }
    }
    if (waiting() === 0) standingSince = undefined;
  };

  const look = () => {
    isTimed = false;
    const now = performance.now();
    const stands = standingSince !== undefined && now - standingSince > STANDING_MS;
    for (const [priority, queue] of queues) {
      const longest = maxQueueMs * PATIENCE[priority] * (stands ? 1 : BURST_FACTOR);
      for (const { refuse } of queue.expire(now - longest)) refuse();
    }
    next();
    if (waiting() > 0) later();
  };

  const later = () => {
    isTimed = true;
    setTimeout(look, LOOK_MS).unref();
  };

  const isOpen = (priority: Priority) => isFree(priority) && (queues.get(priority)?.size ?? 0) === 0;

  const turn = (priority: Priority, peer: string): Promise<void> => {
    concurrency.full();
    standingSince ??= performance.now();
    if (!isTimed) later();
    return new Promise((begin, reject) => {
      const refuse = () => {
        onLimit("overload");
        reject(overloaded());
      };
      queues.get(priority)?.add(peer, { since: performance.now(), begin, refuse });
    });
  };

  return {
    async run(method, peer, work) {
      const priority = priorityOf(method);
      if (isOpen(priority)) running.set(priority, (running.get(priority) ?? 0) + 1);
      else await turn(priority, peer);
      const begun = performance.now();
      try {
        const result = await work();
        // Refusals are faster than the real work, so they are not measured.
        concurrency.took(method.name, performance.now() - begun);
        return result;
      } finally {
        running.set(priority, (running.get(priority) ?? 1) - 1);
        next();
      }
    },
    counts: () => ({ running: all(), waiting: waiting(), places: concurrency.limit }),
  };
}
