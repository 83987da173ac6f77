import { isSignedWebhook, webhookHeaders, webhookSecretOf } from "../crypto/standard-webhook.ts";
import { type Carrier, outcomeOfStatus, retryAfterMs } from "./carrier.ts";
import type { DeliveryOutcome, Outgoing } from "./provider.ts";
import type { DeliveryReceipt, ReceiptReader } from "./receipt-reader.ts";

/** An operator's program that accepts messages by HTTPS. */
export interface CarrierWebhookOptions {
  readonly url: string;
  /** The signing secret in Standard Webhooks' form: "whsec_" and 24 to 64 bytes in base64. */
  readonly secret: string;
  /** Whether it sends delivery reports. */
  readonly receipts?: boolean | undefined;
  readonly clock: () => Date;
}

/** Not found, no POST, no JSON. */
const MISPLACED = new Set([404, 405, 415]);

/** The body in the form of Standard Webhooks: type and data. */
interface Posting {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

/**
 * Posts a message as JSON, signed by Standard Webhooks. `webhook-id` is the same for every attempt. The receiver
 * answers 2xx when it has accepted the message, 410 when the recipient is gone, 429 or 5xx for a retry. Redirects are
 * not followed; they count, like 401, 403, 404, 405 and 415, as a refusal of this service as a whole.
 */
export async function postSigned(
  { url, secret, clock }: CarrierWebhookOptions,
  { idempotencyKey }: Outgoing,
  signal: AbortSignal,
  { type, data }: Posting,
): Promise<DeliveryOutcome> {
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
  const { status } = response;
  if (status === 410) return { outcome: "gone", error: "HTTP_410" };
  // The program is not at the configured URL, or accepts no such request: no message would be accepted.
  if ((status >= 300 && status < 400) || MISPLACED.has(status)) return { outcome: "denied", error: `HTTP_${status}` };
  return outcomeOfStatus(status, "HTTP", retryAfterMs(response.headers.get("retry-after"), clock()));
}

const KIND = /^[A-Z][A-Z0-9_]{0,39}$/;
const STATES: Readonly<Record<string, DeliveryReceipt["state"]>> = {
  "message.delivered": "delivered",
  "message.failed": "failed",
};

/** The text at a name of an object, whatever the object is; empty where there is none. */
const textAt = (value: unknown, name: string): string => {
  const found = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  return typeof found === "string" ? found : "";
};

/**
 * Reads reports of a program of the operator's, signed as what is posted to it is: "message.delivered" or
 * "message.failed", with `tenant_id`, the `webhook_id` of the letter and, of failures, an `error` in capitals.
 */
const webhookReceipts = ({ secret, clock }: CarrierWebhookOptions): ReceiptReader => ({
  path: "webhook",
  read({ headers, body }) {
    if (!isSignedWebhook(headers, body, { secret: webhookSecretOf(secret), now: clock() })) return "unsigned";
    let report: unknown;
    try {
      report = JSON.parse(body);
    } catch {
      return undefined;
    }
    const state = STATES[textAt(report, "type")];
    if (!state) return undefined;
    const data = (report as { data?: unknown }).data;
    const error = textAt(data, "error");
    const about = { tenantId: textAt(data, "tenant_id"), idempotencyKey: textAt(data, "webhook_id") };
    return { ...about, state, error: state === "delivered" ? "" : KIND.test(error) ? error : "UNDELIVERED" };
  },
});

/** Posts each letter to a program of the operator's, as `postSigned` does. */
export const webhookCarrier = (options: CarrierWebhookOptions): Carrier => ({
  name: "webhook",
  ...(options.receipts && { receipts: webhookReceipts(options) }),
  carry: ({ to, subject, text }, message, signal) => {
    const { owner, channel, kind, expireTime } = message;
    const data = { tenant_id: owner.tenantId, channel, kind, to, subject, text, expire_time: expireTime.toISOString() };
    return postSigned(options, message, signal, { type: `message.${channel}`, data });
  },
});
