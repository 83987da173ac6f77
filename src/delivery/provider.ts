import type { Owner } from "../db/store.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import type { Content } from "../outbox/outbox.ts";
import type { ReceiptReader } from "./receipt-reader.ts";

/** A message during an attempt. */
export interface Outgoing {
  readonly owner: Owner;
  readonly messageId: string;
  readonly channel: Channel;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** The opened content: never to be logged or put into an error. */
  readonly content: Content;
  /** The same for every attempt and every provider. */
  readonly idempotencyKey: string;
  readonly expireTime: Date;
  readonly createTime: Date;
}

/**
 * The result of an attempt. "retry": a temporary failure; the next provider is asked, or later the first again.
 * "denied": the same, but the provider refuses this service as a whole, for a wrong password or a missing right.
 * "refused": this provider will not accept the message; the next one is asked. "gone": the recipient does not exist; no
 * other is asked. `error` is a kind of failure in capitals and never holds the peer's text. `retryAfterMs` is the wait
 * that the provider asks for.
 */
export type DeliveryOutcome =
  | { readonly outcome: "delivered" }
  | {
      readonly outcome: "retry" | "denied" | "refused" | "gone";
      readonly error: string;
      readonly retryAfterMs?: number;
    };

/** Sends messages of one channel. The providers of a channel are asked in order. */
export interface Provider {
  readonly name: string;
  readonly channel: Channel;
  /** Whether accepted messages stay readable in the outbox: only dev mode's inbox. */
  readonly keepsContent?: boolean;
  /** Reads its delivery reports; absent where it makes none. */
  readonly receipts?: ReceiptReader;
  /** Sends a message. The signal ends the attempt at its time limit and when the service stops. */
  send(message: Outgoing, signal: AbortSignal): Promise<DeliveryOutcome>;
}

const KIND = /^[A-Z][A-Z0-9_]{0,39}$/;

/** Translates an unexpected error: a retry, named by the error's code where it has one. */
export function unforeseen(error: unknown): DeliveryOutcome {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return { outcome: "retry", error: KIND.test(code) ? code : "ERROR" };
}
