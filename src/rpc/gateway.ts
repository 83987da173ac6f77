import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createSecureServer } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { cors, createConnectRouter, createContextValues, type Interceptor } from "@connectrpc/connect";
import { type UniversalHandler, uResponseNotFound } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { DEFAULT_LIMITS, type ListenerLimits, MAX_MESSAGE_BYTES, type OnLimit } from "../core/listener-limits.ts";
import type { EndedCall, LogCall } from "./call-log.ts";
import { createFindClientAddress, type TrustedProxies } from "./client-address.ts";
import { toConnectError } from "./errors.ts";
import { ASSERTION_HEADER, type Gate } from "./gate.ts";
import { bodyKey, holdBody, peerKey, readBody } from "./gateway-body.ts";
import { limitPeers, timeoutsOf } from "./gateway-peers.ts";
import type { Listener, Served } from "./grpc-server.ts";
import { RESETS } from "./resets.ts";
import { sourcesOf } from "./sources.ts";
import type { TlsMaterial } from "./tls-files.ts";
import { validation } from "./validation.ts";

/** What a plain GET is answered with. */
export interface Page {
  readonly status: number;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** How long it may be kept; not at all by default. */
  readonly maxAgeS?: number;
}

/** Plain pages by path. Each is told the host that was asked for. */
export type Pages = ReadonlyMap<string, Shown>;
type Shown = (host: string) => Promise<Page>;

/** Where the browsers' listener stands and whom it serves. */
export interface GatewayOptions {
  readonly services: readonly Served[];
  readonly gate: Gate;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tls?: TlsMaterial | undefined;
  /** The exact origins whose pages may call: "https://app.example". */
  readonly origins: readonly string[];
  /** Proxies whose word about addresses counts. */
  readonly proxies?: TrustedProxies | undefined;
  /** Whether every socket is a proxy's, so that nothing is asked of sources here. */
  readonly behindProxy?: boolean;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  readonly logCall?: LogCall;
  /** What a GET of a path that is no RPC shows: /livez. */
  readonly pages?: Pages;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<ListenerLimits>;
  readonly onLimit?: OnLimit;
}

const PREFLIGHT_MAX_AGE_S = 7200;

const ALLOWED_HEADERS = [...cors.allowedHeaders, "authorization", ASSERTION_HEADER, "traceparent", "x-request-id"].join(
  ", ",
);
const EXPOSED_HEADERS = cors.exposedHeaders.join(", ");

type Request = Parameters<typeof universalRequestFromNodeRequest>[0];
type Response = Parameters<typeof universalResponseToNodeResponse>[1];

/** Answers CORS; false when the request is not to go on. A foreign origin gets no permission, and its browser stops. */
function allowOrigin(request: IncomingMessage, response: ServerResponse, origins: readonly string[]): boolean {
  const { origin } = request.headers;
  response.setHeader("vary", "origin");
  if (origin !== undefined && origins.includes(origin)) {
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
  }
  if (request.method !== "OPTIONS") return true;
  response.setHeader("access-control-allow-methods", "POST");
  response.setHeader("access-control-allow-headers", ALLOWED_HEADERS);
  response.setHeader("access-control-max-age", PREFLIGHT_MAX_AGE_S);
  response.writeHead(204).end();
  return false;
}

/** Connect's handlers of the services by path, with the gate before every body. */
function routes({ services, gate, proxies, onUnexpected, logCall }: GatewayOptions, shutdownSignal: AbortSignal) {
  const findAddress = createFindClientAddress(proxies);
  /** The error that the client sees, and the line in the log. */
  const refused = (thrown: unknown, call: Omit<EndedCall, "error">) => {
    const error = toConnectError(thrown, (unexpected) => onUnexpected(unexpected, call.method));
    logCall?.({ ...call, error });
    return error;
  };
  async function* logged<T>(messages: AsyncIterable<T>, call: EndedCall): AsyncIterable<T> {
    try {
      yield* messages;
      logCall?.(call);
    } catch (thrown) {
      throw refused(thrown, call);
    }
  }
  const ends: Interceptor = (next) => async (request) => {
    const { method, contextValues: values, header: requestHeader } = request;
    const call = { method, values, requestHeader, startedMs: performance.now() };
    try {
      const response = await next(request);
      // A stream ends, or fails, while it is read, not when it is begun.
      if (response.stream) return { ...response, message: logged(response.message, call) };
      logCall?.(call);
      return response;
    } catch (thrown) {
      throw refused(thrown, call);
    }
  };
  const router = createConnectRouter({
    // gRPC itself has a listener of its own. Nothing compressed is taken, so nothing can swell.
    grpc: false,
    acceptCompression: [],
    readMaxBytes: MAX_MESSAGE_BYTES,
    maxTimeoutMs: Number.MAX_SAFE_INTEGER,
    shutdownSignal,
    interceptors: [ends, validation],
    requestGate: async (context) => {
      try {
        const { method, values, requestHeader } = context;
        const address = findAddress(values.get(peerKey), requestHeader);
        await gate({ method, values, requestHeader, address });
        await readBody(context, MAX_MESSAGE_BYTES);
      } catch (thrown) {
        throw refused(thrown, { ...context, startedMs: performance.now() });
      }
    },
  });
  for (const { service, implementation } of services) router.service(service, implementation);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

async function show(request: IncomingMessage, response: ServerResponse, page: Shown): Promise<void> {
  const { status, type, headers, body, maxAgeS } = await page(
    request.headers.host ?? String(request.headers[":authority"]),
  );
  const kept = maxAgeS === undefined ? "no-store" : `public, max-age=${maxAgeS}`;
  const about = { "cache-control": kept, "x-content-type-options": "nosniff", ...headers };
  response.writeHead(status, { ...about, ...(type && { "content-type": type }) }).end(body);
}

async function handle(handler: UniversalHandler, request: Request, response: Response): Promise<void> {
  const values = createContextValues();
  const universal = universalRequestFromNodeRequest(request, response, undefined, values);
  // Without a body parsed by somebody else, which there is not, it is the stream of the request.
  const held = holdBody(universal.body as AsyncIterable<Uint8Array>);
  values.set(bodyKey, held);
  values.set(peerKey, request.socket.remoteAddress ?? "");
  await universalResponseToNodeResponse(await handler({ ...universal, body: held.body }), response);
}

/**
 * Listens for browsers: gRPC-Web and Connect, the same handlers and the same gate as gRPC. No GET, which would put
 * messages into urls; no compression; pages of the listed origins only.
 */
export async function listenGateway(options: GatewayOptions): Promise<Listener> {
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const handlers = routes(options, stopping.signal);
  const { onLimit = () => {} } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    peers.arrived(request, response, handler !== undefined && handler.method.methodKind !== "unary");
    if (!allowOrigin(request, response, options.origins)) return;
    const page = request.method === "GET" ? options.pages?.get(path) : undefined;
    if (page) return void show(request, response, page).catch(() => response.destroy());
    if (!handler) return void response.writeHead(uResponseNotFound.status).end();
    if (request.method !== "POST") return void response.writeHead(405, { allow: "POST, OPTIONS" }).end();
    handle(handler, request, response).catch((thrown) => {
      // The peer went away in the middle; whatever else it is, there is no one left to answer.
      if (!request.destroyed) options.onUnexpected(thrown, handler.method);
      response.destroy();
    });
  };
  const timeouts = { ...timeoutsOf(limits), handshakeTimeout: limits.firstCallMs };
  const settings = { maxConcurrentStreams: limits.maxStreams };
  const secure =
    options.tls &&
    createSecureServer({ ...options.tls, ...timeouts, ...RESETS, settings, allowHTTP1: true }, listener as never);
  const server = secure ? (secure as unknown as Server) : createServer(timeouts, listener);
  const peers = limitPeers(server, limits, onLimit, sourcesOf(options, limits));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(options.port, options.host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : options.port,
    renew: (tls) => secure?.setSecureContext(tls),
    sockets: peers.count,
    drain(graceMs) {
      setImmediate(() => stopping.abort());
      return peers.close(graceMs);
    },
  };
}
