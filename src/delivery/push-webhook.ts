import { type PushCarrier, payloadOf } from "./push-provider.ts";
import { postSigned, type WebhookOptions } from "./webhook.ts";

/** Phones that a program of the operator's tells: the target that the phone named, and the payload. */
export const pushWebhookCarrier = (options: WebhookOptions): PushCarrier => ({
  name: "push-webhook",
  channel: "push-webhook",
  carry: (note, message, signal) =>
    postSigned(options, message, signal, {
      type: "message.push",
      data: {
        tenant_id: message.owner.tenantId,
        kind: message.kind,
        target: note.address.token ?? "",
        ...payloadOf(note),
        expire_time: message.expireTime.toISOString(),
      },
    }),
});
