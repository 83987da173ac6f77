import { growingPauseMs } from "../core/growing-pause.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import { type DeliveryOutcome, type Outgoing, type Provider, unforeseen } from "./provider.ts";

const LONGEST_PAUSE_MS = 3600_000;

/** Returns the pause after the n-th attempt: at least what the provider asked for, at most an hour. */
export const pauseMs = (attempts: number, askedMs = 0): number =>
  Math.min(Math.max(growingPauseMs(attempts, LONGEST_PAUSE_MS), askedMs), LONGEST_PAUSE_MS);

/** The result of an attempt, and the provider that accepted the message. */
export type Attempted = DeliveryOutcome & { readonly provider: string };

/** A provider that refuses this service as a whole. */
export interface Denied {
  readonly provider: string;
  readonly channel: Channel;
  readonly error: string;
}

/** The limits and listeners of an attempt. */
export interface Bounds {
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
  /** How long one provider may take. */
  readonly limitMs: number;
  readonly clock: () => Date;
  /** Called for each provider that refuses this service as a whole, also where another then accepts the message. */
  readonly onDenied: (denied: Denied) => void;
}

/** Does not wait for a provider that ignores the signal. */
async function ask(provider: Provider, message: Outgoing, { stopping, limitMs }: Bounds): Promise<DeliveryOutcome> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(limitMs)]);
  const over = Promise.withResolvers<DeliveryOutcome>();
  const end = () => over.resolve({ outcome: "retry", error: stopping.aborted ? "STOPPED" : "TIMEOUT" });
  if (signal.aborted) end();
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([over.promise, provider.send(message, signal).catch(unforeseen)]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/**
 * Asks the providers in order until one accepts the message or the recipient is gone. If any of the others may accept
 * it later, the message is to be retried. None is asked after its expiry.
 */
export async function attempt(
  providers: readonly Provider[],
  message: Outgoing,
  bounds: Bounds,
): Promise<Attempted | "expired"> {
  let result: Attempted = { outcome: "refused", error: "NO_PROVIDER", provider: "" };
  let later: Attempted | undefined;
  for (const provider of providers) {
    if (message.expireTime <= bounds.clock()) return "expired";
    result = { ...(await ask(provider, message, bounds)), provider: provider.name };
    if (result.outcome === "delivered" || result.outcome === "gone") return result;
    if (result.outcome !== "refused") later ??= result;
    if (result.outcome === "denied") {
      bounds.onDenied({ provider: provider.name, channel: provider.channel, error: result.error });
    }
    if (bounds.stopping.aborted) break;
  }
  return later ?? result;
}
