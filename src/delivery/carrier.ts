import type { DeliveryOutcome, Outgoing, Provider } from "./provider.ts";
import type { ReceiptReader } from "./receipt-reader.ts";

/** A rendered message. */
export interface Letter {
  /** The full number or address. */
  readonly to: string;
  /** Empty for text messages. */
  readonly subject: string;
  readonly text: string;
}

/** A provider of text messages or e-mail. */
export interface Carrier {
  readonly name: string;
  /** Sends a rendered message; `message` is its source. */
  carry(letter: Letter, message: Outgoing, signal: AbortSignal): Promise<DeliveryOutcome>;
  /** Reads its delivery reports; absent where it makes none. */
  readonly receipts?: ReceiptReader;
}

/** Renders a message; returns undefined when its address no longer exists. */
export type Compose = (message: Outgoing) => Promise<Letter | undefined>;

/** Makes a channel's provider of it. */
export const letterProvider = (channel: "sms" | "email", carrier: Carrier, compose: Compose): Provider => ({
  name: carrier.name,
  channel,
  ...(carrier.receipts && { receipts: carrier.receipts }),
  async send(message, signal) {
    const letter = await compose(message);
    if (!letter) return { outcome: "gone", error: "NO_ADDRESS" };
    return carrier.carry(letter, message, signal);
  },
});

const AT_PRESENT = new Set([408, 425, 429]);
/** Authentication or permission failed, independent of the message. */
const DENIED = new Set([401, 403]);

/** Returns the wait that `Retry-After` asks for (RFC 9110 §10.2.3), given in seconds or as a date. */
export function retryAfterMs(header: string | null | undefined, now: Date): number | undefined {
  if (!header) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return ms > 0 ? ms : undefined;
}

/** Translates an HTTP error status. `prefix` names the peer: "HTTP_503"; `waitMs` is the wait that it asks for. */
export function outcomeOfStatus(status: number, prefix = "HTTP", waitMs?: number): DeliveryOutcome {
  if (status >= 200 && status < 300) return { outcome: "delivered" };
  const error = `${prefix}_${status}`;
  if (DENIED.has(status)) return { outcome: "denied", error };
  if (status < 500 && !AT_PRESENT.has(status)) return { outcome: "refused", error };
  return { outcome: "retry", error, ...(waitMs !== undefined && { retryAfterMs: waitMs }) };
}
