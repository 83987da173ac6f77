import { readFile } from "node:fs/promises";
import type { PushCarrier } from "./push-provider.ts";
import { pushWebhookCarrier } from "./push-webhook.ts";
import { type EncodedVapidKey, webPushCarrier } from "./web-push.ts";

/** The settings of a push provider, with its secrets read. */
export type PushCarrierOptions =
  | {
      readonly kind: "web-push";
      readonly subject: string;
      readonly hosts: readonly string[];
      readonly caFile?: string | undefined;
    }
  | { readonly kind: "fcm"; readonly serviceAccount: string; readonly baseUrl: string }
  | {
      readonly kind: "apns";
      readonly teamId: string;
      readonly keyId: string;
      readonly privateKey: string;
      readonly topic: string;
      readonly baseUrl: string;
      readonly caFile?: string | undefined;
    }
  | { readonly kind: "webhook"; readonly url: string; readonly secret: string };

/** Dependencies of push providers. */
export interface PushCarrierNeeds {
  readonly clock: () => Date;
  readonly vapidKeyOf: (tenantId: string) => Promise<EncodedVapidKey>;
}

const caOf = async (caFile: string | undefined) => (caFile === undefined ? undefined : readFile(caFile, "utf8"));

/** Makes the push provider that the settings name. Throws when its key cannot be read. */
export async function openPushCarrier(
  options: PushCarrierOptions,
  { clock, vapidKeyOf }: PushCarrierNeeds,
): Promise<PushCarrier> {
  switch (options.kind) {
    case "web-push":
      return webPushCarrier({ ...options, clock, vapidKeyOf, ca: await caOf(options.caFile) });
    case "fcm": {
      // Loaded only where it is used.
      const { fcmCarrier } = await import("./fcm.ts");
      return fcmCarrier({ account: JSON.parse(options.serviceAccount), baseUrl: options.baseUrl, clock });
    }
    case "apns": {
      const { apnsCarrier } = await import("./apns.ts");
      return apnsCarrier({ ...options, clock, ca: await caOf(options.caFile) });
    }
    case "webhook":
      return pushWebhookCarrier({ ...options, clock });
  }
}
