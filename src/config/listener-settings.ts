import * as v from "valibot";
import { claim, filePath, name, network, port } from "./values.ts";

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

/** A backend by the name in its certificate. */
const identity = v.strictObject({
  /** Exactly as in the certificate: "URI:spiffe://example/shop" or "DNS:shop.internal". No wildcards. */
  san: v.pipe(
    v.string(),
    v.regex(
      /^(URI:[A-Za-z][\w+.-]*:((?!["',\\])[!-~])+|DNS:[\w.-]+)$/,
      'must be a name in a certificate, "URI:spiffe://example/shop" or "DNS:shop.internal", without wildcards',
    ),
  ),
  /** What it is called in records. */
  name: claim,
  tenant: claim,
  /** What it may do: "mfa.verify". */
  scopes: v.array(v.pipe(v.string(), v.regex(/^\S+$/, 'must be a scope without spaces, "mfa.verify"'))),
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

/** What a listener for backends says of itself: `tls`, or certificates of backends beside it. */
const forBackends = <K extends "grpc" | "internal">(kind: K, standard: number) =>
  v.pipe(
    v.strictObject({
      kind: v.literal(kind),
      ...listener,
      port: port(standard),
      /** `tls` that asks backends for their certificates in place of tokens. All three files are read again. */
      mtls: v.optional(mtls),
    }),
    v.check(({ tls, mtls }) => !tls || !mtls, 'both "tls" and "mtls": a listener with "mtls" has TLS already'),
    v.transform((entry) => (entry.mtls ? { ...entry, tls: entry.mtls } : entry)),
  );

/** The origin of a page. */
export const origin = v.pipe(
  v.string(),
  v.regex(/^https?:\/\/[^/\s]+$/, 'must be an origin without a path: "https://app.example"'),
);

/** The exact origins whose pages may call: "https://app.example". Default none. */
const origins = v.optional(v.array(origin), []);

/** An entry of the list of listeners. */
export const listeners = v.variant("kind", [
  /** gRPC: all services, health, reflection. Default port 11005. */
  forBackends("grpc", 11005),
  /** gRPC-Web and Connect for browsers: MfaService only. Default port 11006. */
  v.strictObject({
    kind: v.literal("gateway"),
    ...listener,
    port: port(11006),
    origins,
  }),
  /** gRPC-Web and Connect for the console: AdminMfaService, /livez, /readyz. Default port 11007. */
  v.strictObject({
    kind: v.literal("admin"),
    ...listener,
    port: port(11007),
    origins,
  }),
  /** Connect, gRPC-Web and JSON for backends: InternalMfaService only. Default port 11008. */
  forBackends("internal", 11008),
]);

/** The kinds that are opened where the settings name none. */
export const LISTENER_KINDS = ["grpc", "gateway", "admin", "internal"] as const;

/** A listener as it is configured. */
export type ListenerSettings = v.InferOutput<typeof listeners>;
