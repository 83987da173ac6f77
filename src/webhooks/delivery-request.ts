import { toJson } from "@bufbuild/protobuf";
import { EventSchema } from "../../gen/mfa/v1/event_pb.js";
import { webhookHeaders } from "../crypto/standard-webhook.ts";
import { toEvent } from "../events/event-message.ts";
import type { EventRow } from "../events/events.repository.ts";

/** A delivery: headers and body of its POST. */
export interface DeliveryRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The event in structured JSON (CloudEvents 1.0). */
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

/** An event for one endpoint, signed with each of its secrets, under the event's own id in every delivery. */
export function deliveryRequest(row: EventRow, secrets: readonly Uint8Array[], now: Date): DeliveryRequest {
  const body = JSON.stringify(cloudEvent(row));
  const signed = webhookHeaders({ id: row.eventId, now, body }, secrets);
  return { body, headers: { "content-type": "application/cloudevents+json; charset=utf-8", ...signed } };
}
