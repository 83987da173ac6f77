import * as v from "valibot";
import { parseIpRange } from "./core/ip-address.ts";
import { DEFAULT_LIMITS } from "./core/listener-limits.ts";
import { isSchedule } from "./core/rhythm.ts";

const filePath = v.pipe(v.string(), v.minLength(1));
const name = v.pipe(v.string(), v.minLength(1));

const network = v.pipe(
  v.string(),
  v.check(
    (text) => (parseIpRange(text)?.bits ?? 0) > 0,
    "no network like 10.1.0.0/16 or 2001:db8::/64, without host bits",
  ),
);

/** Whose word about the clients' addresses counts. */
const proxies = v.strictObject({
  /** Networks that the proxies call from, and no client: "10.1.0.0/16", "::1". Empty: nobody's word counts. */
  addresses: v.array(network),
  /** The header that they write, read from the right: "x-forwarded-for" (default) or "forwarded" (RFC 7239). */
  header: v.optional(v.picklist(["x-forwarded-for", "forwarded"]), "x-forwarded-for"),
});

/** What every listener says of itself. */
const listener = {
  /** Address to bind: "127.0.0.1", "0.0.0.0", "::". Default 127.0.0.1. */
  host: v.optional(v.string(), "127.0.0.1"),
  /** PEM files of the listener's own TLS. Read again when they change, without a restart. */
  tls: v.optional(v.strictObject({ certFile: filePath, keyFile: filePath })),
  /** The proxy or mesh that terminates TLS in front, by name: "envoy sidecar". Its word instead of `tls`. */
  terminatedBy: v.optional(name),
  /** The proxies in front that pass on where a call came from. */
  proxies: v.optional(proxies),
};

/** What a credential says of its holder; the bound is that of the names in tokens. */
const claim = v.pipe(v.string(), v.regex(/^[^\p{C}]+$/u), v.maxBytes(255));

/** A backend by the name in its certificate. */
const identity = v.strictObject({
  /** Exactly as in the certificate: "URI:spiffe://example/shop" or "DNS:shop.internal". No wildcards. */
  san: v.pipe(v.string(), v.regex(/^(URI:[A-Za-z][\w+.-]*:((?!["',\\])[!-~])+|DNS:[\w.-]+)$/)),
  /** What it is called in records. */
  name: claim,
  tenant: claim,
  /** What it may do: "mfa.verify". */
  scopes: v.array(v.pipe(v.string(), v.regex(/^\S+$/))),
});

const mtls = v.strictObject({
  certFile: filePath,
  keyFile: filePath,
  /** The CA of the clients' certificates. */
  caFile: filePath,
  identities: v.pipe(
    v.array(identity),
    v.minLength(1),
    v.check((list) => new Set(list.map(({ san }) => san)).size === list.length, "a name is listed twice"),
  ),
});

/** TCP port, 0 for a free one. */
const port = (standard: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535)), standard);

const listeners = v.variant("kind", [
  /** gRPC: all services, health, reflection. Default port 11005. */
  v.pipe(
    v.strictObject({
      kind: v.literal("grpc"),
      ...listener,
      port: port(11005),
      /** `tls` that asks backends for their certificates in place of tokens. All three files are read again. */
      mtls: v.optional(mtls),
    }),
    v.check(({ tls, mtls }) => !tls || !mtls, 'both "tls" and "mtls": a listener with "mtls" has TLS already'),
    v.transform((entry) => (entry.mtls ? { ...entry, tls: entry.mtls } : entry)),
  ),
  /** gRPC-Web and Connect for browsers: MfaService only. Default port 11006. */
  v.strictObject({
    kind: v.literal("gateway"),
    ...listener,
    port: port(11006),
    /** The exact origins whose pages may call: "https://app.example". Default none. */
    origins: v.optional(v.array(v.pipe(v.string(), v.regex(/^https?:\/\/[^/\s]+$/))), []),
  }),
  /** gRPC-Web and Connect for the console: AdminMfaService, /livez, /readyz. Default port 11007. */
  v.strictObject({
    kind: v.literal("admin"),
    ...listener,
    port: port(11007),
    origins: v.optional(v.array(v.pipe(v.string(), v.regex(/^https?:\/\/[^/\s]+$/))), []),
  }),
]);

/** A listener as it is configured. */
export type ListenerSettings = v.InferOutput<typeof listeners>;

const issuer = v.strictObject({
  /** The exact `iss`. */
  issuer: name,
  /** Its keys: a JWKS as a file, or by url (https, or http on loopback). One of the two. */
  jwksFile: v.optional(filePath),
  jwksUrl: v.optional(v.pipe(v.string(), v.regex(/^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1|\[::1\])[:/])/))),
  /** The audiences it may issue for. Default all three. */
  audiences: v.optional(v.array(v.picklist(["mfa", "mfa-admin", "mfa-internal"]))),
  /** The tenant of its tokens, for an issuer whose tokens carry no `tid`. */
  tenant: v.optional(name),
});

/** A whole number above zero; timers hold no more than 31 bits of milliseconds. */
const count = (standard: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1)), standard);

/** A secret that stands elsewhere: alone in a file, or in an environment variable. */
const secret = v.union(
  [v.strictObject({ file: filePath }), v.strictObject({ env: name })],
  'a secret is given as {"file": path} or {"env": name}',
);

/** https, or http on loopback. */
const httpsUrl = v.pipe(v.string(), v.regex(/^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1|\[::1\])[:/])/));

const webhook = v.strictObject({
  kind: v.literal("webhook"),
  /** Where messages are posted, signed after Standard Webhooks. */
  url: httpsUrl,
  /** "whsec_" and base64 of 24 to 64 bytes. */
  secret,
});

const emailCarrier = v.variant("kind", [
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
    from: v.pipe(v.string(), v.regex(/^[^\p{C}]*[^\s@\p{C}]+@[^\s@\p{C}]+$/u)),
  }),
  webhook,
]);

const smsCarrier = v.variant("kind", [
  v.strictObject({
    kind: v.literal("twilio"),
    accountSid: v.pipe(v.string(), v.regex(/^AC[0-9a-f]{32}$/)),
    /** The account's token, or an API key's secret where `apiKeySid` names the key. */
    authToken: secret,
    apiKeySid: v.optional(v.pipe(v.string(), v.regex(/^SK[0-9a-f]{32}$/))),
    /** A number, a short code, a sender's name, or a messaging service ("MG…"). */
    from: name,
    baseUrl: v.optional(httpsUrl, "https://api.twilio.com"),
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

const pushCarrier = v.variant("kind", [
  v.strictObject({
    kind: v.literal("web-push"),
    /** Whom push services can turn to: "mailto:ops@example.com" or a page. */
    subject: v.pipe(v.string(), v.regex(/^(mailto:|https:\/\/)\S+$/)),
    /** The hosts of push services, the only ones that are called: "*.example" stands for the names below. */
    hosts: v.optional(
      v.pipe(v.array(v.pipe(v.string(), v.regex(/^(\*\.)?[a-z0-9.-]+(:\d{1,5})?$/))), v.minLength(1)),
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
    baseUrl: v.optional(v.pipe(v.string(), v.regex(/^https:\/\//)), "https://api.push.apple.com"),
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

/** Where a secret stands. */
export type SecretPlace = v.InferOutput<typeof secret>;

/** The settings file (JSON). Unknown settings are refused, so that a misspelt one is never silently a default. */
export const settingsSchema = v.strictObject({
  /** Where the service listens. Default: one of each kind, on loopback. */
  listeners: v.optional(v.pipe(v.array(listeners), v.minLength(1)), [
    { kind: "grpc" },
    { kind: "gateway" },
    { kind: "admin" },
  ]),
  /** Folder for what dev mode generates. Default ./data. */
  dataDir: v.optional(filePath, "./data"),
  /** "sqlite:<path>" or "postgres://…". In dev mode defaults to sqlite:<dataDir>/mfa.db. */
  database: v.optional(v.string()),
  /** The wrapping keys and peppers (JSON, mode 0600). In dev mode generated in dataDir. */
  keyFile: v.optional(filePath),
  /** The file that remembers erasures outside of the database. Default <dataDir>/erasures.jsonl. */
  erasureLedger: v.optional(filePath),
  /** Who signs the tokens of callers. */
  issuers: v.optional(v.array(issuer), []),
  /** Calls a second that one caller may make in the long run, by kind; ten seconds' worth may come at once. */
  rates: v.optional(
    v.strictObject({
      user: v.optional(v.pipe(v.number(), v.minValue(0.1)), 5),
      admin: v.optional(v.pipe(v.number(), v.minValue(0.1)), 20),
      service: v.optional(v.pipe(v.number(), v.minValue(0.1)), 5000),
      /** Of users and strangers from one source, an IPv4 address or an IPv6 /64. */
      source: v.optional(v.pipe(v.number(), v.minValue(0.1)), 100),
      /** Wrong proofs a minute from one source over all users; ten minutes' worth may come at once. */
      guesses: v.optional(v.pipe(v.number(), v.minValue(0.1)), 20),
    }),
    {},
  ),
  /** What each listener allows to its peers; the defaults and their reasons are in core/listener-limits.ts. */
  limits: v.optional(
    v.strictObject({
      /** Open sockets of a listener. */
      maxConnections: count(DEFAULT_LIMITS.maxConnections),
      /** Open sockets of a listener from one IPv4 address or IPv6 /64; not asked behind a proxy. */
      maxConnectionsPerSource: count(DEFAULT_LIMITS.maxConnectionsPerSource),
      /** Calls at a time on one connection. */
      maxStreams: count(DEFAULT_LIMITS.maxStreams),
      /** Milliseconds from a connection to its first call. */
      firstCallMs: count(DEFAULT_LIMITS.firstCallMs),
      /** Milliseconds that a peer may keep a socket half open when we have ended. */
      lingerMs: count(DEFAULT_LIMITS.lingerMs),
      /** Bytes of a call's headers. */
      maxMetadataBytes: count(DEFAULT_LIMITS.maxMetadataBytes),
      /** Milliseconds from a call's headers to its whole request. */
      arrivalMs: count(DEFAULT_LIMITS.arrivalMs),
      /** Milliseconds of work for a unary call. */
      maxWorkMs: count(DEFAULT_LIMITS.maxWorkMs),
      /** Milliseconds until a unary call's answer is read. */
      maxUnaryMs: count(DEFAULT_LIMITS.maxUnaryMs),
      /** Milliseconds that a stream lasts. */
      maxStreamMs: count(DEFAULT_LIMITS.maxStreamMs),
    }),
    {},
  ),
  /** Whether gRPC reflection answers. Default: in dev mode only. */
  reflection: v.optional(v.boolean()),
  /** How messages leave: by channel, the carriers in the order in which they are asked. Default: no channel. */
  delivery: v.optional(
    v.strictObject({
      email: v.optional(v.pipe(v.array(emailCarrier), v.minLength(1))),
      sms: v.optional(v.pipe(v.array(smsCarrier), v.minLength(1))),
      push: v.optional(v.pipe(v.array(pushCarrier), v.minLength(1))),
    }),
    {},
  ),
  /** The signed statements of what users proved. */
  assertions: v.optional(
    v.strictObject({
      /** Their `iss`: a name of this installation, as its backends know it. Default "mfa-service". */
      issuer: v.optional(claim, "mfa-service"),
      /** What keys made from now on sign with; ES256 for verifiers without Ed25519. Default EdDSA. */
      algorithm: v.optional(v.picklist(["EdDSA", "ES256"]), "EdDSA"),
    }),
    {},
  ),
  /** Whether the gateway serves the pages for trying passkeys, at /console/. Default: in dev mode only. */
  passkeyPages: v.optional(v.boolean()),
  /** Passkeys and security keys, for tenants that set nothing of their own. */
  webauthn: v.optional(
    v.strictObject({
      /** The relying parties, the first by default: "example.com". In dev mode defaults to "localhost". */
      rpIds: v.optional(
        v.pipe(v.array(v.pipe(v.string(), v.regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/))), v.maxLength(10)),
        [],
      ),
      /** The exact origins of pages that run ceremonies. Default: https and the name of each relying party. */
      origins: v.optional(v.pipe(v.array(v.pipe(v.string(), v.regex(/^[a-z][a-z-]*:\S+$/))), v.maxLength(20)), []),
      /** A FIDO MDS3 blob, as downloaded: what attestations of authenticators are verified with. */
      metadataFile: v.optional(filePath),
      /** PEM certificates of another publisher's roots in place of FIDO's. */
      metadataRootsFile: v.optional(filePath),
    }),
    {},
  ),
  /** Where tenants' events may be delivered. */
  webhooks: v.optional(
    v.strictObject({
      /** Networks that are not public and still receive: "10.1.0.0/16". Default none. */
      networks: v.optional(v.array(network), []),
      /** PEM certificates of CAs that receivers are trusted by, besides the usual ones. */
      caFile: v.optional(filePath),
    }),
    {},
  ),
  /** Copies of a SQLite database, made while it is in use. */
  backup: v.optional(
    v.strictObject({
      /** Where they go. Default: none are made. */
      folder: v.optional(filePath),
      /** How many are kept. Default 7. */
      keep: count(7),
      /** When one is made: cron in UTC, or a period like "PT6H". Default: at a quarter past two. */
      schedule: v.optional(
        v.pipe(v.string(), v.check(isSchedule, "neither cron of five fields nor a period like PT6H")),
        "15 2 * * *",
      ),
    }),
    {},
  ),
  schedule: v.optional(
    v.strictObject({
      /** Whether this instance runs scheduled tasks. At least one of those that share a database should. */
      enabled: v.optional(v.boolean(), true),
    }),
    {},
  ),
  push: v.optional(
    v.strictObject({
      /** Where phones find the service, for the QR codes that pair them: "mfa.example:443". Empty leaves it to the app. */
      address: v.optional(v.pipe(v.string(), v.regex(/^[^\p{C}\s]{0,255}$/u)), ""),
    }),
    {},
  ),
  /** What log-ins are judged by. */
  risk: v.optional(
    v.strictObject({
      /** A MaxMind database of cities or countries (.mmdb), read at the start: what tells new countries and travel. */
      locationsFile: v.optional(filePath),
    }),
    {},
  ),
  totp: v.optional(
    v.strictObject({
      /** The name that authenticator apps show for this service; no ':'. Default "MFA Service". */
      issuer: v.optional(v.pipe(v.string(), v.regex(/^[^:\p{C}]{1,64}$/u)), "MFA Service"),
    }),
    {},
  ),
});

/** The settings, complete but for what depends on the mode. */
export type Settings = v.InferOutput<typeof settingsSchema>;
