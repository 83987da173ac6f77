import { newId } from "../core/id.ts";
import { createRound, type RoundOptions } from "./round.ts";
import { type EndpointKey, webhookEndpointRepository } from "./webhook-endpoints.repository.ts";

/** What the deliveries need of the process. */
export interface RoundsOptions extends RoundOptions {
  /** Hears of a store that is away: what was not settled is delivered again. */
  readonly onTrouble: (error: unknown) => void;
}

/** Endpoints served at once. */
const PLACES = 64;
/** After which a round counts as lost: longer than one takes. */
const LEASE_MS = 60_000;

/** Delivers events to endpoints in rounds, to each at its own pace: one that is slow keeps a place, and nobody waiting. */
export function createRounds({ onTrouble, ...options }: RoundsOptions) {
  const { store, clock } = options;
  const stop = new AbortController();
  const round = createRound(options, stop.signal);
  const underWay = new Map<string, Promise<void>>();

  /** Goes from round to round while there is something to deliver, unless others may be waiting for the place. */
  async function serve(key: EndpointKey): Promise<void> {
    for (let more = true; more && !stop.signal.aborted; ) {
      const [now, leaseId] = [clock(), newId()];
      const lease = { ...key, leaseId, now, leaseExpireTime: new Date(now.getTime() + LEASE_MS) };
      const row = await store.write((tx) => webhookEndpointRepository(tx).lease(lease));
      more = row !== undefined && (await round(row, leaseId)) && underWay.size < PLACES;
    }
  }

  return {
    /** Begins to deliver what is due, as far as there are places, and waits for none of it. */
    async look(): Promise<void> {
      const due = await store.read((tx) => webhookEndpointRepository(tx).listDue(clock(), PLACES));
      for (const key of due) {
        const { endpointId } = key;
        if (stop.signal.aborted || underWay.size >= PLACES) return;
        // Never twice at once here, not even when its lease lapsed because the clock jumped.
        if (underWay.has(endpointId)) continue;
        const over = serve(key)
          .catch(onTrouble)
          .finally(() => underWay.delete(endpointId));
        underWay.set(endpointId, over);
      }
    },

    /** Ends the deliveries under way and waits for them; what was not taken is delivered again. */
    async stop(): Promise<void> {
      stop.abort();
      await Promise.all(underWay.values());
    },
  };
}
