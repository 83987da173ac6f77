import { webhookHeaders, webhookSecretOf } from "../crypto/standard-webhook.ts";
import { type Carrier, outcomeOfStatus, retryAfterMs } from "./carrier.ts";
import type { Outcome, Outgoing } from "./provider.ts";

/** A program of the operator's that takes messages by HTTPS. */
export interface WebhookOptions {
  readonly url: string;
  /** As Standard Webhooks writes it: "whsec_" and 24 to 64 bytes in base64. */
  readonly secret: string;
  readonly clock: () => Date;
}

/** What is posted, in the form of Standard Webhooks: its type and its data. */
interface Posting {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

/**
 * Posts a message as JSON, signed after Standard Webhooks. `webhook-id` is the same for every attempt. The receiver
 * answers 2xx when it has taken the message, 410 when there is nobody at the address any more, 429 or 5xx to be asked
 * again; redirects are not followed.
 */
export async function postSigned(
  { url, secret, clock }: WebhookOptions,
  { idempotencyKey }: Outgoing,
  signal: AbortSignal,
  { type, data }: Posting,
): Promise<Outcome> {
  const now = clock();
  const body = JSON.stringify({ type, timestamp: now.toISOString(), data });
  const response = await fetch(url, {
    method: "POST",
    redirect: "manual",
    signal,
    body,
    headers: {
      "content-type": "application/json",
      ...webhookHeaders({ id: idempotencyKey, now, body }, [webhookSecretOf(secret)]),
    },
  });
  await response.body?.cancel();
  if (response.status === 410) return { outcome: "gone", error: "HTTP_410" };
  return outcomeOfStatus(response.status, "HTTP", retryAfterMs(response.headers.get("retry-after"), clock()));
}

/** Posts each letter to a program of the operator's, as `postSigned` does. */
export const webhookCarrier = (options: WebhookOptions): Carrier => ({
  name: "webhook",
  carry: ({ to, subject, text }, message, signal) => {
    const { owner, channel, kind, expireTime } = message;
    const data = { tenant_id: owner.tenantId, channel, kind, to, subject, text, expire_time: expireTime.toISOString() };
    return postSigned(options, message, signal, { type: `message.${channel}`, data });
  },
});
