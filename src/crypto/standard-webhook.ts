import { createHmac } from "node:crypto";

const PREFIX = "whsec_";

/** A secret as receivers are given it (Standard Webhooks): "whsec_" and base64. */
export const webhookSecretText = (secret: Uint8Array): string => `${PREFIX}${Buffer.from(secret).toString("base64")}`;

/** The bytes of such a text. */
export const webhookSecretOf = (text: string): Buffer => Buffer.from(text.replace(PREFIX, ""), "base64");

/** What is signed: the id is the same in every attempt, the time is that of the attempt. */
export interface WebhookPost {
  readonly id: string;
  readonly now: Date;
  readonly body: string;
}

/**
 * The headers by which a receiver knows what is posted to it (Standard Webhooks): HMAC-SHA-256 over id, time and body,
 * so that none of them can be exchanged, once with each secret, so that a secret can be changed while both are in use.
 */
export function webhookHeaders(
  { id, now, body }: WebhookPost,
  secrets: readonly Uint8Array[],
): Readonly<Record<string, string>> {
  const seconds = String(Math.floor(now.getTime() / 1000));
  const signatures = secrets.map((secret) => {
    const mac = createHmac("sha256", secret).update(`${id}.${seconds}.${body}`).digest("base64");
    return `v1,${mac}`;
  });
  return { "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signatures.join(" ") };
}
