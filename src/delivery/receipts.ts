import type { Store } from "../db/store.ts";
import { type OutboxRow, outboxRepository } from "../outbox/outbox.repository.ts";
import type { Denied } from "./attempt.ts";
import type { Provider } from "./provider.ts";
import type { DeliveryReceipt, Report } from "./receipt-reader.ts";
import type { Delivered } from "./worker.ts";

/** Dependencies of receipts. */
export interface ReceiptOptions {
  readonly store: Store;
  readonly clock: () => Date;
  readonly providers: readonly Provider[];
  readonly onDelivered: (delivered: Delivered) => void;
  readonly onDenied: (denied: Denied) => void;
  /** Called for a report that could not be stored. */
  readonly onUnstored: (error: unknown) => void;
}

/** Handles a report; returns the HTTP status of the response. */
export type TakeReport = (report: Report) => Promise<number>;

const PREFIX = "/delivery/receipts/";

/**
 * The gateway's paths for delivery reports; none where no provider makes any. A report changes its message's state once
 * and gets 204; an unsigned one gets 403; one that cannot be stored gets 503, so that the provider repeats it.
 */
export function createReceipts(options: ReceiptOptions): ReadonlyMap<string, TakeReport> {
  const { store, clock, providers, onDelivered, onDenied, onUnstored } = options;

  async function note(provider: Provider, receipt: DeliveryReceipt): Promise<void> {
    const { tenantId, idempotencyKey, state, error } = receipt;
    const about = { tenantId, idempotencyKey, state, lastError: error, provider: provider.name, now: clock() };
    const row: OutboxRow | undefined = await store.write((tx) => outboxRepository(tx).noteReceipt(about));
    if (receipt.isDenied) onDenied({ provider: provider.name, channel: provider.channel, error });
    if (!row) return;
    const { messageId, channel, kind, attempts } = row;
    onDelivered({ messageId, channel, kind, state, attempts, provider: provider.name, error });
  }

  const reporting = providers.filter(({ receipts }) => receipts !== undefined);
  const byPath = Map.groupBy(reporting, ({ receipts }) => `${PREFIX}${receipts?.path}`);
  return new Map(
    [...byPath].map(([path, own]) => {
      const take: TakeReport = async (report) => {
        for (const provider of own) {
          const receipt = provider.receipts?.read(report);
          if (receipt === "unsigned") continue;
          try {
            if (receipt) await note(provider, receipt);
            return 204;
          } catch (error) {
            onUnstored(error);
            return 503;
          }
        }
        return 403;
      };
      return [path, take] as const;
    }),
  );
}
