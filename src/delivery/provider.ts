import type { Owner } from "../core/caller.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import type { Content } from "../outbox/outbox.ts";

/** A message at one of its attempts. */
export interface Outgoing {
  readonly owner: Owner;
  readonly messageId: string;
  readonly channel: Channel;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** What was sealed: never to be logged, nor put into an error. */
  readonly content: Content;
  /** The same for every attempt and every provider. */
  readonly idempotencyKey: string;
  readonly expireTime: Date;
  readonly createTime: Date;
}

/**
 * What came of an attempt. "retry": the provider cannot at present, the next one is asked, or later the first again.
 * "denied": the same, as the provider takes nothing from us, whatever it is: a wrong password, a key without the right.
 * "refused": this provider will not take the message, the next one is asked. "gone": there is nobody at the address,
 * nobody is asked any more. `error` is a kind of failure, in capitals, and never holds what a peer said. `retryAfterMs` is
 * how long the provider asks to be left alone.
 */
export type Outcome =
  | { readonly outcome: "delivered" }
  | {
      readonly outcome: "retry" | "denied" | "refused" | "gone";
      readonly error: string;
      readonly retryAfterMs?: number;
    };

/** A way out of the house for one channel. Providers of a channel are asked in order. */
export interface Provider {
  readonly name: string;
  readonly channel: Channel;
  /** Whether what it took stays readable in the outbox: only the inbox of dev mode. */
  readonly keepsContent?: boolean;
  /** Hands the message over. The signal ends the attempt: when it takes too long, and when the service stops. */
  send(message: Outgoing, signal: AbortSignal): Promise<Outcome>;
}

const KIND = /^[A-Z][A-Z0-9_]{0,39}$/;

/** A failure that nobody foresaw: tried again, told by its code where it has one. */
export function unforeseen(error: unknown): Outcome {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return { outcome: "retry", error: KIND.test(code) ? code : "ERROR" };
}
