import { createHmac, timingSafeEqual } from "node:crypto";
import type { Outgoing } from "./provider.ts";
import type { DeliveryReceipt, ReceiptReader, Report } from "./receipt-reader.ts";
import { isAccountsFault } from "./twilio-errors.ts";

/** The report settings of a Twilio account. */
export interface TwilioReceiptOptions {
  /** The public URL of the gateway's path. */
  readonly receiptUrl: string;
  /** The account's own token. */
  readonly receiptToken: string;
}

/** Returns the URL for reports on one message. */
export function receiptUrlOf(receiptUrl: string, { owner, idempotencyKey }: Outgoing): string {
  const url = new URL(receiptUrl);
  url.searchParams.set("tenant", owner.tenantId);
  url.searchParams.set("key", idempotencyKey);
  return url.href;
}

/** Twilio's signature (twilio.com/docs/usage/security): HMAC-SHA-1 over the URL and the sorted fields. */
export function twilioSignature(token: string, url: string, fields: URLSearchParams): string {
  const sorted = [...fields].sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1));
  return createHmac("sha1", token)
    .update(url + sorted.flat().join(""))
    .digest("base64");
}

const STATES: Readonly<Record<string, DeliveryReceipt["state"]>> = {
  delivered: "delivered",
  read: "delivered",
  undelivered: "failed",
  failed: "failed",
};

/** Reads Twilio's status callbacks: signed forms with `MessageStatus` and, of failures, `ErrorCode`. */
export const twilioReceipts = ({ receiptUrl, receiptToken }: TwilioReceiptOptions): ReceiptReader => ({
  path: "twilio",
  read({ query, headers, body }: Report) {
    const fields = new URLSearchParams(body);
    const expected = Buffer.from(twilioSignature(receiptToken, `${receiptUrl}?${query}`, fields));
    const given = Buffer.from(String(headers["x-twilio-signature"] ?? ""));
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return "unsigned";
    const state = STATES[fields.get("MessageStatus") ?? ""];
    if (!state) return undefined;
    const about = new URLSearchParams(query);
    const [tenantId, idempotencyKey] = [about.get("tenant") ?? "", about.get("key") ?? ""];
    const code = /^\d{1,6}$/.exec(fields.get("ErrorCode") ?? "")?.[0];
    if (state === "delivered") return { tenantId, idempotencyKey, state, error: "" };
    const error = code === undefined ? "TWILIO_UNDELIVERED" : `TWILIO_${code}`;
    return { tenantId, idempotencyKey, state, error, isDenied: isAccountsFault(Number(code ?? 0)) };
  },
});
