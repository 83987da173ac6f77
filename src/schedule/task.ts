import type { Store } from "../db/store.ts";

/** What a run is given. */
export interface Running {
  /**
   * The store, as this run may use it: every unit that writes first proves that the run still has its task, and says
   * that it lives. Once another instance has taken over, or the service stops, its units fail.
   */
  readonly store: Store;
  /** When it began, by the time that all instances share. The only time that a task goes by. */
  readonly now: Date;
  /** Aborted when the run has lost its task or the service stops. */
  readonly signal: AbortSignal;
}

/** What the service does for its own upkeep: by one of any number of instances, once whenever it is due. */
export interface Task {
  /** "event_retention". */
  readonly name: string;
  /** What it does, a sentence. */
  readonly description: string;
  /** "PT10M", or cron in UTC. */
  readonly schedule: string;
  /** Does it; answers how many things it dealt with. Done twice, or half, it must do no harm. */
  run(running: Running): Promise<number>;
}
