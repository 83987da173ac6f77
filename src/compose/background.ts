import type { Erasure } from "../erasure/erasure.ts";
import { healStreams, sequenceAllEvents } from "../events/sequencer.ts";
import { createDispatcher, type DispatcherOptions } from "../webhooks/dispatcher.ts";

/**
 * What every instance does by itself, beside the schedule: many times a minute, with leases of its own, so that any
 * number of instances may do it at once (the sequencer, the dispatcher; the worker of `delivery/` likewise), or with files
 * of its own (`erasure.ts`).
 */
export interface BackgroundLoop {
  readonly name: "events-placing" | "event-streams" | "webhooks" | "erasures";
  readonly periodMs: number;
  run(): Promise<void>;
  /** Ends what a run began. */
  stop?(): Promise<void>;
}

const HOUR_MS = 3600 * 1000;
/** The interval of the sequencer: the longest wait of an event for its sequence number. */
const PLACING_MS = 500;

/** Dependencies of the background loops. */
export interface BackgroundOptions extends Pick<DispatcherOptions, "store" | "keyring" | "clock" | "timeOf"> {
  readonly webhooks: Pick<DispatcherOptions, "post" | "onFailed" | "onTrouble">;
  readonly erasure: Pick<Erasure, "upkeep">;
}

/** The loops of one instance, none of them begun. */
export function createBackgroundLoops(options: BackgroundOptions): BackgroundLoop[] {
  const { store, keyring, clock, timeOf, webhooks, erasure } = options;
  const dispatcher = createDispatcher({ store, keyring, clock, timeOf, ...webhooks });
  // One process at a time has a SQLite file: what is leased there was leased by one that is dead.
  let orphaned = store.engine === "sqlite";
  const deliver = async () => {
    if (orphaned) await dispatcher.release();
    orphaned = false;
    await dispatcher.look();
  };
  const ended = new AbortController();
  return [
    { name: "events-placing", periodMs: PLACING_MS, run: () => sequenceAllEvents(store) },
    { name: "event-streams", periodMs: HOUR_MS, run: () => healStreams(store) },
    { name: "webhooks", periodMs: PLACING_MS, run: deliver, stop: dispatcher.stop },
    { name: "erasures", periodMs: HOUR_MS, run: () => erasure.upkeep(ended.signal), stop: async () => ended.abort() },
  ];
}
