import { readFile } from "node:fs/promises";
import type { Carrier } from "./carrier.ts";
import { twilioCarrier } from "./twilio.ts";
import { webhookCarrier } from "./webhook.ts";

/** The settings of a provider, with its secrets read. */
export type CarrierOptions =
  | {
      readonly kind: "smtp";
      readonly host: string;
      readonly port: number;
      readonly implicitTls: boolean;
      readonly caFile?: string | undefined;
      readonly user?: string | undefined;
      readonly password?: string | undefined;
      readonly from: string;
    }
  | { readonly kind: "webhook"; readonly url: string; readonly secret: string; readonly receipts?: boolean | undefined }
  | {
      readonly kind: "twilio";
      readonly accountSid: string;
      readonly authToken: string;
      readonly apiKeySid?: string | undefined;
      readonly from: string;
      readonly baseUrl: string;
      readonly receiptUrl?: string | undefined;
      readonly receiptToken?: string | undefined;
    };

/** Makes the provider that the settings name. */
export async function openCarrier(options: CarrierOptions, clock: () => Date): Promise<Carrier> {
  switch (options.kind) {
    case "smtp": {
      // Loaded only where it is used, since it costs memory and start time.
      const { smtpCarrier } = await import("./smtp.ts");
      const ca = options.caFile === undefined ? undefined : await readFile(options.caFile, "utf8");
      return smtpCarrier({ ...options, ca });
    }
    case "webhook":
      return webhookCarrier({ ...options, clock });
    case "twilio":
      return twilioCarrier({ ...options, clock });
  }
}
