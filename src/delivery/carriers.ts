import { readFile } from "node:fs/promises";
import type { Carrier } from "./carrier.ts";
import { twilioCarrier } from "./twilio.ts";
import { webhookCarrier } from "./webhook.ts";

/** A carrier as the settings have it, its secrets read. */
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
  | { readonly kind: "webhook"; readonly url: string; readonly secret: string }
  | {
      readonly kind: "twilio";
      readonly accountSid: string;
      readonly authToken: string;
      readonly apiKeySid?: string | undefined;
      readonly from: string;
      readonly baseUrl: string;
    };

/** Makes the carrier that the settings name. */
export async function openCarrier(options: CarrierOptions, clock: () => Date): Promise<Carrier> {
  switch (options.kind) {
    case "smtp": {
      // Loaded only where mail goes this way: it costs memory and start.
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
