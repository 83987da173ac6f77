import type { Store } from "../db/store.ts";

/** What a run gets. */
export interface Running {
  /**
   * The store for this run: every writing unit first checks and renews the lease. Once another instance has taken over,
   * or the service stops, units fail.
   */
  readonly store: Store;
  /** The start of the run, by the time that all instances share. A task uses no other time. */
  readonly now: Date;
  /** Aborted when the run has lost its task or the service stops. */
  readonly signal: AbortSignal;
}

/** A scheduled task of the service's own upkeep: run by one of any number of instances when it is due. */
export interface Task {
  /** "event_retention". */
  readonly name: string;
  /** What it does, in a sentence. */
  readonly description: string;
  /** "PT10M", or cron in UTC. */
  readonly schedule: string;
  /** Runs the task; returns how many items it processed. It must be idempotent and safe to interrupt. */
  run(running: Running): Promise<number>;
}
