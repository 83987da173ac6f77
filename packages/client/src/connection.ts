import { type CallOptions, type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import { retrying } from "./retries.ts";

/** How to reach the service, and as whom. */
export interface ConnectionOptions {
  /** The address: `https://mfa.example.com:11005`; `http://` is gRPC without TLS, for development. */
  readonly baseUrl: string;
  /** A service key (`mfa_sk_…`) or an access token; a function is asked before each call, so that tokens may change. */
  readonly credential?: string | (() => string | Promise<string>);
  /** `grpc` (all three services on one port) or `json`, for the listener of backends. Default `grpc`. */
  readonly protocol?: "grpc" | "json";
  /** Milliseconds for a call, all its attempts together. Default 10,000; the service takes 30,000 at most. */
  readonly deadlineMs?: number;
  /** How often a call is sent again that may be. Default 2. */
  readonly retries?: number;
  /** What Node's `tls.connect` takes besides, such as a client certificate or the authorities to trust. */
  readonly tls?: { readonly ca?: string | Buffer; readonly cert?: string | Buffer; readonly key?: string | Buffer };
  /** Run around each call, the first outermost. */
  readonly interceptors?: readonly Interceptor[];
}

/** Typed clients of the three services over one connection. */
export interface Mfa {
  /** MfaService: what users do with their own factors. Pass the user's token with `as(…)`. */
  readonly users: Client<typeof MfaService>;
  /** AdminMfaService: for administrators. */
  readonly admin: Client<typeof AdminMfaService>;
  /** InternalMfaService: for backends. */
  readonly internal: Client<typeof InternalMfaService>;
  /** The transport that they share. */
  readonly transport: Transport;
  /** Closes the connection; calls under way end. A later call opens another one. */
  close(): void;
}

const authorization = (credential: NonNullable<ConnectionOptions["credential"]>): Interceptor => {
  const ask = typeof credential === "string" ? () => credential : credential;
  return (next) => async (request) => {
    if (!request.header.has("authorization")) request.header.set("authorization", `Bearer ${await ask()}`);
    return next(request);
  };
};

/** Call options for one call in the name of somebody else: a user's token, or a ticket to enroll. */
export const as = (credential: { readonly token: string } | { readonly ticket: string }): CallOptions => ({
  headers: {
    authorization: "token" in credential ? `Bearer ${credential.token}` : `Ticket ${credential.ticket}`,
  },
});

/**
 * Connects to the service; the first call opens the connection, and the clients share it. Throws nothing itself: what
 * calls throw is for `reasonOf`.
 */
export function createMfa(options: ConnectionOptions): Mfa {
  const {
    baseUrl,
    credential,
    protocol = "grpc",
    deadlineMs = 10_000,
    retries = 2,
    tls = {},
    interceptors = [],
  } = options;
  const shared = {
    baseUrl,
    defaultTimeoutMs: deadlineMs,
    interceptors: [
      ...interceptors,
      retrying(retries),
      ...(credential === undefined ? [] : [authorization(credential)]),
    ],
  };
  // A connection that nobody answers on any more is noticed within a minute, and replaced.
  const sessions = new Http2SessionManager(baseUrl, { pingIntervalMs: 60_000 }, tls);
  const transport =
    protocol === "grpc"
      ? createGrpcTransport({ ...shared, sessionManager: sessions })
      : createConnectTransport({ ...shared, httpVersion: "1.1", useBinaryFormat: false, nodeOptions: tls });
  return {
    users: createClient(MfaService, transport),
    admin: createClient(AdminMfaService, transport),
    internal: createClient(InternalMfaService, transport),
    transport,
    close: () => sessions.abort(),
  };
}
