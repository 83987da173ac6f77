import { newId } from "../core/id.ts";
import { createDeliveryBatch, type DeliveryBatchOptions } from "./delivery-batch.ts";
import { type EndpointKey, webhookEndpointRepository } from "./webhook-endpoints.repository.ts";

/** Dependencies of the dispatcher. */
export interface DispatcherOptions extends DeliveryBatchOptions {
  /** Called when the store is unavailable; unsettled deliveries are repeated. */
  readonly onTrouble: (error: unknown) => void;
}

/** Endpoints served at once. */
const PLACES = 64;
/** The lease of a batch: longer than a batch takes. */
const LEASE_MS = 60_000;

/**
 * Delivers events to endpoints in batches, to each at its own pace: a slow endpoint occupies one slot and delays no
 * other.
 */
export function createDispatcher({ onTrouble, ...options }: DispatcherOptions) {
  const { store, timeOf } = options;
  const stop = new AbortController();
  const round = createDeliveryBatch(options, stop.signal);
  const underWay = new Map<string, Promise<void>>();

  /** Runs batch after batch while events are due, unless other endpoints may be waiting for a slot. */
  async function serve(key: EndpointKey): Promise<void> {
    for (let more = true; more && !stop.signal.aborted; ) {
      const leaseId = newId();
      const row = await store.write(async (tx) => {
        const now = await timeOf(tx);
        const leaseExpireTime = new Date(now.getTime() + LEASE_MS);
        return webhookEndpointRepository(tx).lease({ ...key, leaseId, now, leaseExpireTime });
      });
      more = row !== undefined && (await round(row, leaseId)) && underWay.size < PLACES;
    }
  }

  return {
    /** Ends every lease: for a start on a store that no other process can be using. */
    release: () => store.write(async (tx) => webhookEndpointRepository(tx).release(await timeOf(tx))),

    /** Starts due deliveries as far as there are slots, without waiting for them. */
    async look(): Promise<void> {
      const due = await store.read(async (tx) => webhookEndpointRepository(tx).listDue(await timeOf(tx), PLACES));
      for (const key of due) {
        const { endpointId } = key;
        if (stop.signal.aborted || underWay.size >= PLACES) return;
        // Never twice at once in one process, even when the lease expired by a jump of the clock.
        if (underWay.has(endpointId)) continue;
        const over = serve(key)
          .catch(onTrouble)
          .finally(() => underWay.delete(endpointId));
        underWay.set(endpointId, over);
      }
    },

    /** Ends running deliveries and waits for them; unfinished ones are repeated later. */
    async stop(): Promise<void> {
      stop.abort();
      await Promise.all(underWay.values());
    },
  };
}
