import { growingPauseMs } from "../core/growing-pause.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import { type Outcome, type Outgoing, type Provider, unforeseen } from "./provider.ts";

const LONGEST_PAUSE_MS = 3600_000;

/** The pause after the n-th attempt: as long as the provider asked for where that is more, an hour at most. */
export const pauseMs = (attempts: number, askedMs = 0): number =>
  Math.min(Math.max(growingPauseMs(attempts, LONGEST_PAUSE_MS), askedMs), LONGEST_PAUSE_MS);

/** What came of asking the providers, and which one took it. */
export type Attempted = Outcome & { readonly provider: string };

/** A provider that takes nothing from us. */
export interface Denied {
  readonly provider: string;
  readonly channel: Channel;
  readonly error: string;
}

/** What bounds an attempt, and who hears of it. */
export interface Bounds {
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
  /** How long one provider may take. */
  readonly limitMs: number;
  readonly clock: () => Date;
  /** Hears of each provider that takes nothing from us, also where another then takes the message. */
  readonly onDenied: (denied: Denied) => void;
}

/** Does not wait for a provider that overhears the signal. */
async function ask(provider: Provider, message: Outgoing, { stopping, limitMs }: Bounds): Promise<Outcome> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(limitMs)]);
  const over = Promise.withResolvers<Outcome>();
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
 * Asks the providers in order until one takes the message or there is nobody to take it to. If any of those that did
 * not may do so later, the message is to be tried again. None is asked once its time has run out.
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
