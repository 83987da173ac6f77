import { createHmac, timingSafeEqual } from "node:crypto";

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

const macOf = (secret: Uint8Array, id: string, seconds: string, body: string) =>
  createHmac("sha256", secret).update(`${id}.${seconds}.${body}`).digest();

/** How far the time of a post may lie from ours. */
const TOLERANCE_MS = 5 * 60_000;

/** Whether a post that has arrived is signed with the secret, and was just now. */
export function isSignedWebhook(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: string,
  { secret, now }: { secret: Uint8Array; now: Date },
): boolean {
  const [id, seconds, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    String(headers[name] ?? ""),
  ) as [string, string, string];
  if (!/^\d{1,12}$/.test(seconds) || Math.abs(Number(seconds) * 1000 - now.getTime()) > TOLERANCE_MS) return false;
  const expected = macOf(secret, id, seconds, body);
  return signatures.split(" ").some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ""), "base64");
    return signature.startsWith("v1,") && given.length === expected.length && timingSafeEqual(given, expected);
  });
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
  const signatures = secrets.map((secret) => `v1,${macOf(secret, id, seconds, body).toString("base64")}`);
  return { "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signatures.join(" ") };
}
