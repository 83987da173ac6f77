import { createHmac } from "node:crypto";
import { toJson } from "@bufbuild/protobuf";
import { EventSchema } from "../../gen/mfa/v1/event_pb.js";
import { toEvent } from "../events/event-message.ts";
import type { EventRow } from "../events/events.repository.ts";

/** A delivery, ready to be posted. */
export interface DeliveryRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A secret as receivers are given it (Standard Webhooks). */
export const secretText = (secret: Uint8Array): string => `whsec_${Buffer.from(secret).toString("base64")}`;

/** The event in structured JSON (CloudEvents 1.0): one form for every receiver, whatever the transport. */
const cloudEvent = (row: EventRow) => ({
  specversion: "1.0",
  id: row.eventId,
  source: `urn:mfa-service:tenant:${encodeURIComponent(row.tenantId)}`,
  type: `mfa.v1.${row.type.toLowerCase()}`,
  ...(row.userId && { subject: row.userId }),
  time: row.createTime.toISOString(),
  datacontenttype: "application/json",
  data: toJson(EventSchema, toEvent(row)),
});

/**
 * An event for one endpoint, signed over id, time and body with each of its secrets (Standard Webhooks). The id is the
 * event's, the same in every delivery; the time is that of the attempt.
 */
export function deliveryRequest(row: EventRow, secrets: readonly Uint8Array[], now: Date): DeliveryRequest {
  const body = JSON.stringify(cloudEvent(row));
  const seconds = String(Math.floor(now.getTime() / 1000));
  const signatures = secrets.map((secret) => {
    const mac = createHmac("sha256", secret).update(`${row.eventId}.${seconds}.${body}`).digest("base64");
    return `v1,${mac}`;
  });
  return {
    body,
    headers: {
      "content-type": "application/cloudevents+json; charset=utf-8",
      "webhook-id": row.eventId,
      "webhook-timestamp": seconds,
      "webhook-signature": signatures.join(" "),
    },
  };
}
