import * as v from "valibot";
import { filePath, httpsUrl, name, secret } from "./values.ts";

const webhook = v.strictObject({
  kind: v.literal("webhook"),
  /** Where messages are posted, signed after Standard Webhooks. */
  url: httpsUrl,
  /** "whsec_" and base64 of 24 to 64 bytes. */
  secret,
  /** Whether it reports on the gateway what became of letters, signed with the same secret. Default no. */
  receipts: v.optional(v.boolean()),
});

/** A way of e-mails. */
export const emailCarrier = v.variant("kind", [
  v.strictObject({
    kind: v.literal("smtp"),
    host: name,
    port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)), 587),
    /** TLS from the first byte (port 465) instead of STARTTLS; one of the two it must be. */
    implicitTls: v.optional(v.boolean(), false),
    /** The CA of the server, PEM, where it is not a public one. */
    caFile: v.optional(filePath),
    user: v.optional(name),
    password: v.optional(secret),
    /** "Example <no-reply@example.com>". */
    from: v.pipe(
      v.string(),
      v.regex(/^[^\p{C}]*[^\s@\p{C}]+@[^\s@\p{C}]+$/u, 'must end with an address: "Example <no-reply@example.com>"'),
    ),
  }),
  webhook,
]);

/** A way of text messages. */
export const smsCarrier = v.variant("kind", [
  v.strictObject({
    kind: v.literal("twilio"),
    accountSid: v.pipe(v.string(), v.regex(/^AC[0-9a-f]{32}$/, 'must be "AC" and 32 hexadecimal digits in lower case')),
    /** The account's token, or an API key's secret where `apiKeySid` names the key. */
    authToken: secret,
    apiKeySid: v.optional(
      v.pipe(v.string(), v.regex(/^SK[0-9a-f]{32}$/, 'must be "SK" and 32 hexadecimal digits in lower case')),
    ),
    /** A number, a short code, a sender's name, or a messaging service ("MG…"). */
    from: name,
    baseUrl: v.optional(httpsUrl, "https://api.twilio.com"),
    /**
     * Where Twilio reports what became of messages: the public address of the gateway's /delivery/receipts/twilio.
     * Default: it is not asked to report. `receiptToken` is the account's own token, which signs the reports, where
     * `authToken` is an API key's secret.
     */
    receiptUrl: v.optional(httpsUrl),
    receiptToken: v.optional(secret),
  }),
  webhook,
]);

/** The push services of the large browsers. */
export const PUSH_SERVICES = [
  "fcm.googleapis.com",
  "updates.push.services.mozilla.com",
  "*.push.apple.com",
  "*.notify.windows.com",
];

/** A way of messages to phones and browsers. */
export const pushCarrier = v.variant("kind", [
  v.strictObject({
    kind: v.literal("web-push"),
    /** Whom push services can turn to: "mailto:ops@example.com" or a page. */
    subject: v.pipe(
      v.string(),
      v.regex(/^(mailto:|https:\/\/)\S+$/, 'must be "mailto:ops@example.com" or "https://example.com/contact"'),
    ),
    /** The hosts of push services, the only ones that are called: "*.example" stands for the names below. */
    hosts: v.optional(
      v.pipe(
        v.array(
          v.pipe(
            v.string(),
            v.regex(
              /^(\*\.)?[a-z0-9.-]+(:\d{1,5})?$/,
              'must be a host in lower case, "push.example.com" or "*.example.com"',
            ),
          ),
        ),
        v.minLength(1),
      ),
      PUSH_SERVICES,
    ),
    /** The CA of the push service, PEM, where it is not a public one. */
    caFile: v.optional(filePath),
  }),
  v.strictObject({
    kind: v.literal("fcm"),
    /** The key file of a service account of Google's (JSON). */
    serviceAccount: secret,
    baseUrl: v.optional(httpsUrl, "https://fcm.googleapis.com"),
  }),
  v.strictObject({
    kind: v.literal("apns"),
    teamId: name,
    keyId: name,
    /** The key of the team (.p8). */
    privateKey: secret,
    /** The app's bundle id. */
    topic: name,
    /** Apple's, for production; "https://api.sandbox.push.apple.com" for development. */
    baseUrl: v.optional(
      v.pipe(v.string(), v.regex(/^https:\/\//, 'must begin with "https://"')),
      "https://api.push.apple.com",
    ),
    /** The CA of the server, PEM, where it is not a public one. */
    caFile: v.optional(filePath),
  }),
  webhook,
]);

/** A carrier as the file has it. */
export type CarrierSettings =
  | v.InferOutput<typeof emailCarrier>
  | v.InferOutput<typeof smsCarrier>
  | v.InferOutput<typeof pushCarrier>;
