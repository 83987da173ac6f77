import type { Outcome, Outgoing, Provider } from "./provider.ts";

/** What people read. */
export interface Letter {
  /** The full number or address. */
  readonly to: string;
  /** Empty for text messages. */
  readonly subject: string;
  readonly text: string;
}

/** Who carries text messages or e-mail. */
export interface Carrier {
  readonly name: string;
  /** Hands a letter over; `message` says what it came from. */
  carry(letter: Letter, message: Outgoing, signal: AbortSignal): Promise<Outcome>;
}

/** Writes the letter of a message; undefined when its address is no more. */
export type Compose = (message: Outgoing) => Promise<Letter | undefined>;

/** A carrier as a provider of a channel. */
export const letterProvider = (channel: "sms" | "email", carrier: Carrier, compose: Compose): Provider => ({
  name: carrier.name,
  channel,
  async send(message, signal) {
    const letter = await compose(message);
    if (!letter) return { outcome: "gone", error: "NO_ADDRESS" };
    return carrier.carry(letter, message, signal);
  },
});

const AT_PRESENT = new Set([408, 425, 429]);
/** Who asks is not known, or may not: nothing that the message could help. */
const DENIED = new Set([401, 403]);

/** How long a peer asks to be left alone by its `Retry-After` (RFC 9110 §10.2.3): in seconds, or until a date. */
export function retryAfterMs(header: string | null | undefined, now: Date): number | undefined {
  if (!header) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return ms > 0 ? ms : undefined;
}

/**
 * What an HTTP status says of a request that was not taken. `prefix` names the peer: "HTTP_503"; `waitMs` is how long it
 * asks to be left alone.
 */
export function outcomeOfStatus(status: number, prefix = "HTTP", waitMs?: number): Outcome {
  if (status >= 200 && status < 300) return { outcome: "delivered" };
  const error = `${prefix}_${status}`;
  if (DENIED.has(status)) return { outcome: "denied", error };
  if (status < 500 && !AT_PRESENT.has(status)) return { outcome: "refused", error };
  return { outcome: "retry", error, ...(waitMs !== undefined && { retryAfterMs: waitMs }) };
}
