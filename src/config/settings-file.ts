import * as v from "valibot";
import { DEFAULT_LIMITS } from "../rpc/limits/listener-limits.ts";
import { isSchedule } from "../schedule/schedule-expression.ts";
import { emailCarrier, pushCarrier, smsCarrier } from "./carrier-settings.ts";
import { issuer } from "./issuer-settings.ts";
import { LISTENER_KINDS, listeners } from "./listener-settings.ts";
import { claim, count, filePath, network } from "./values.ts";

/** How often something may be in the long run: never is no setting. */
const rate = (standard: number) => v.optional(v.pipe(v.number(), v.minValue(0.1)), standard);

/** The settings file (JSON). Unknown settings are refused, so that a misspelt one is never silently a default. */
export const settingsSchema = v.strictObject({
  /**
   * Where the service listens. Default: one of each kind, on loopback. In dev mode kinds that are not named are opened too,
   * unless it is written as {"only": [list]}.
   */
  listeners: v.optional(
    v.pipe(v.array(listeners), v.minLength(1)),
    LISTENER_KINDS.map((kind) => ({ kind })),
  ),
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
      user: rate(5),
      admin: rate(20),
      service: rate(5000),
      /** Of users and strangers from one source, an IPv4 address or an IPv6 /64. */
      source: rate(100),
      /** Wrong proofs a minute from one source over all users; ten minutes' worth may come at once. */
      guesses: rate(20),
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
      /** Open streams of a listener that need no credential: health's Watch, and reflection. */
      maxAnonymousStreams: count(DEFAULT_LIMITS.maxAnonymousStreams),
      /** The same from one IPv4 address or IPv6 /64. */
      maxAnonymousStreamsPerSource: count(DEFAULT_LIMITS.maxAnonymousStreamsPerSource),
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
      /** Unary calls that the process holds, over all listeners. */
      maxOpenCalls: count(DEFAULT_LIMITS.maxOpenCalls),
      /** Streams behind a credential that the process holds. */
      maxOpenStreams: count(DEFAULT_LIMITS.maxOpenStreams),
      /** Milliseconds that a call waits for its turn while there is more to do than can be done. */
      maxQueueMs: count(DEFAULT_LIMITS.maxQueueMs),
      /** Milliseconds for which calls are still taken after the word to stop. */
      noticeMs: count(DEFAULT_LIMITS.noticeMs),
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
  /** The hosted prompt. */
  prompt: v.optional(
    v.strictObject({
      /**
       * The origin that users reach it at, for tenants that set none: "https://mfa.example". In dev mode defaults to the
       * browsers' listener on localhost.
       */
      address: v.optional(v.pipe(v.string(), v.regex(/^https?:\/\/[^\s/?#@]+$/))),
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
        v.pipe(
          v.array(
            v.pipe(
              v.string(),
              v.regex(
                /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/,
                'must be a domain in lower case, without scheme or port: "example.com"',
              ),
            ),
          ),
          v.maxLength(10),
        ),
        [],
      ),
      /** The exact origins of pages that run ceremonies. Default: https and the name of each relying party. */
      origins: v.optional(
        v.pipe(
          v.array(v.pipe(v.string(), v.regex(/^[a-z][a-z-]*:\S+$/, 'must be an origin: "https://login.example.com"'))),
          v.maxLength(20),
        ),
        [],
      ),
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
        v.pipe(
          v.string(),
          v.check(isSchedule, "neither cron of five fields nor a period like PT6H, of 366 days at most"),
        ),
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
      address: v.optional(
        v.pipe(
          v.string(),
          v.regex(
            /^[^\p{C}\s]{0,255}$/u,
            'must be an address of up to 255 characters without spaces: "mfa.example:443"',
          ),
        ),
        "",
      ),
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
      issuer: v.optional(
        v.pipe(v.string(), v.regex(/^[^:\p{C}]{1,64}$/u, 'must be a name of 1 to 64 characters without ":"')),
        "MFA Service",
      ),
    }),
    {},
  ),
});

/** The settings, complete but for what depends on the mode. */
export type ProcessSettings = v.InferOutput<typeof settingsSchema>;
