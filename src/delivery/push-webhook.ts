import { type PushCarrier, payloadOf } from "./push-provider.ts";
import { type CarrierWebhookOptions, postSigned } from "./webhook.ts";

/** Push by an operator's webhook: it gets the phone's target and the payload. */
export const pushWebhookCarrier = (options: CarrierWebhookOptions): PushCarrier => ({
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
