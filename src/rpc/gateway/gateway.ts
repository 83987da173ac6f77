import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, createSecureServer, type Http2Server } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  cors,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Identify } from "../access/certificate-identity.ts";
import { CertifiedPeers } from "../access/certified-peers.ts";
import { createFindClientAddress, type TrustedProxies } from "../access/client-address.ts";
import { type Arrival, ASSERTION_HEADER, type Gate, peerKindOf } from "../access/gate.ts";
import type { ListeningServer, Served } from "../grpc/server.ts";
import type { TlsMaterial } from "../grpc/tls-files.ts";
import { overloaded } from "../limits/admission.ts";
import { dropEndlessTimeouts } from "../limits/client-timeouts.ts";
import { peerNameOf } from "../limits/idle-sockets.ts";
import { DEFAULT_LIMITS, type ListenerLimits, MAX_MESSAGE_BYTES, type OnLimit } from "../limits/listener-limits.ts";
import { createLoad, type Load } from "../limits/load.ts";
import { priorityOf } from "../limits/priorities.ts";
import { NO_REPORTS, type PeerReports, RESETS } from "../limits/rapid-reset.ts";
import { sourcesOf } from "../limits/sources.ts";
import type { EndedCall, LogCall } from "../serve/call-log.ts";
import { stopping as stoppingError, toConnectError } from "../serve/errors.ts";
import { validation } from "../serve/validation.ts";
import { shareCleartext } from "./cleartext.ts";
import { type AllowedOrigins, isAllowedOrigin } from "./origins.ts";
import { limitPeers, type Peers, timeoutsOf } from "./peers.ts";
import { attachPromptCookie, hostOf } from "./prompt-cookie.ts";
import { type Receivers, receivePost } from "./received-posts.ts";
import { bodyKey, holdBody, type Peer, peerKey, readBody } from "./request-body.ts";
import { plainContentType, requireTaken, takeEncoding } from "./request-encoding.ts";
import { NO_METHOD, noSuchPath, refuseForm, refuseMetadata, refuseRequest } from "./request-form.ts";
import { answerUnreadable } from "./unreadable.ts";

/** The response to a plain GET. */
export interface StaticPage {
  readonly status: number;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** The cache lifetime; none by default. */
  readonly maxAgeS?: number;
}

/** What a page may go by, beside its path. */
export interface AskedPage {
  readonly query: URLSearchParams;
  /** The client's address. */
  readonly ip: string;
  /** The encodings that the client takes: its `accept-encoding`. */
  readonly encodings: string;
}

/** Plain pages by path. Each is told the host that was asked for. */
export type Pages = ReadonlyMap<string, Shown>;
type Shown = (host: string, asked: AskedPage) => Promise<StaticPage>;

/** The settings of a gateway listener. */
export interface GatewayOptions {
  readonly services: readonly Served[];
  readonly gate: Gate;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tls?: TlsMaterial | undefined;
  /** The exact origins whose pages may call: "https://app.example". */
  readonly origins: readonly string[];
  /** Whether pages of this machine may call as well, on any port. Default no. */
  readonly loopbackOrigins?: boolean;
  /** Requires certificates of clients, by the CA in `tls`, and says whose they are. */
  readonly identify?: Identify | undefined;
  /** Trusted proxies. */
  readonly proxies?: TrustedProxies | undefined;
  /** Whether every socket is a proxy's, so that limits by source do not apply. */
  readonly behindProxy?: boolean;
  /** Recognises peers, and reports connections closed for rapid resets. */
  readonly peers?: PeerReports;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  readonly logCall?: LogCall;
  /** What a GET of a path that is no RPC shows: /livez. */
  readonly pages?: Pages;
  /** Handlers of POSTs that are not RPCs: delivery reports of providers. */
  readonly receivers?: Receivers;
  /** The process's admission control; by default one of its own. */
  readonly load?: Load;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<ListenerLimits>;
  readonly onLimit?: OnLimit;
}

const STOPPING = stoppingError();
const LATE = new ConnectError("the call took too long", Code.DeadlineExceeded);
const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Set when the call arrived while the process was at its limit. */
const refusedKey = createContextKey(false, { description: "refused for overload" });

/** Node closes the connection there; headers between our limit and this are refused with a reason. */
const MAX_READ_HEADER_BYTES = 64 * 1024;
const PREFLIGHT_MAX_AGE_S = 7200;

const ALLOWED_HEADERS = [...cors.allowedHeaders, "authorization", ASSERTION_HEADER, "traceparent", "x-request-id"].join(
  ", ",
);
const EXPOSED_HEADERS = cors.exposedHeaders.join(", ");

type Request = Parameters<typeof universalRequestFromNodeRequest>[0];
type Response = Parameters<typeof universalResponseToNodeResponse>[1];

/** Handles CORS; returns false when the request ends here. A foreign origin gets no permission. */
function allowOrigin(request: IncomingMessage, response: ServerResponse, origins: AllowedOrigins): boolean {
  const { origin } = request.headers;
  response.setHeader("vary", "origin");
  if (origin !== undefined && isAllowedOrigin(origin, origins)) {
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

/** Dependencies of the gateway's gate. */
interface Guarding {
  readonly shutdownSignal: AbortSignal;
  readonly rise: Peers["rise"];
  /** Whether calls are refused because the service stops. */
  readonly refuses: () => boolean;
  readonly load: Load;
  /** Where clients have certificates: whom a peer's stands for. */
  readonly certified: ((peer: Peer) => NonNullable<Arrival["certified"]>) | undefined;
}

/** Connect's handlers of the services by path, with the gate before every body. */
function routes(
  { services, gate, proxies, onUnexpected, logCall }: GatewayOptions,
  { shutdownSignal, rise, refuses, load, certified }: Guarding,
) {
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
      const { remoteAddress, remotePort } = values.get(peerKey);
      const response = request.stream
        ? await next(request)
        : await load.work.run(method, peerNameOf(remoteAddress, remotePort), () => next(request));
      // A stream ends, or fails, while it is read, not when it is begun.
      if (response.stream) return { ...response, message: logged(response.message, call) };
      logCall?.(call);
      return response;
    } catch (thrown) {
      throw refused(thrown, call);
    }
  };
  const router = createConnectRouter({
    // gRPC itself has a listener of its own. What is compressed is decompressed before Connect sees it (request-body.ts).
    grpc: false,
    acceptCompression: [],
    readMaxBytes: MAX_MESSAGE_BYTES,
    maxTimeoutMs: Number.MAX_SAFE_INTEGER,
    shutdownSignal,
    interceptors: [ends, validation],
    requestGate: async (context) => {
      try {
        if (refuses()) throw STOPPING;
        const { method, values, requestHeader } = context;
        if (values.get(refusedKey)) throw overloaded();
        requireTaken(requestHeader);
        const peer = values.get(peerKey);
        const { ip, trusted } = findAddress(peer.remoteAddress ?? "", requestHeader);
        // A proxy that passes nobody on is a backend on the gRPC listener only: here it stands before browsers.
        const address = { ip, trusted };
        // The body is awaited without a slot: it may take ten seconds to arrive.
        await load.work
          .run(method, peerNameOf(peer.remoteAddress, peer.remotePort), () =>
            gate({ method, values, requestHeader, address, certified: certified?.(peer) }),
          )
          .finally(() => rise(peer, peerKindOf(values)));
        await readBody(context, MAX_MESSAGE_BYTES);
      } catch (thrown) {
        throw refused(thrown, { ...context, startedMs: performance.now() });
      }
    },
  });
  for (const { service, implementation } of services) router.service(service, implementation);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

/** Headers as those of calls are read. */
const readable = (headers: IncomingMessage["headers"]) => ({
  get: (name: string) => headers[name]?.toString() ?? null,
});

async function show(
  request: IncomingMessage,
  response: ServerResponse,
  { page, ip }: { readonly page: Shown; readonly ip: string },
): Promise<void> {
  const query = new URLSearchParams(request.url?.split("?", 2)[1] ?? "");
  const { status, type, headers, body, maxAgeS } = await page(hostOf(request.headers), {
    ...{ query, ip },
    encodings: String(request.headers["accept-encoding"] ?? ""),
  });
  const kept = maxAgeS === undefined ? "no-store" : `public, max-age=${maxAgeS}`;
  const about = { "cache-control": kept, "x-content-type-options": "nosniff", ...headers };
  response.writeHead(status, { ...about, ...(type && { "content-type": type }) }).end(body);
}

async function handle(
  handler: UniversalHandler,
  request: Request,
  response: Response,
  { ending, close }: { readonly ending: AbortController; readonly close: (() => void) | undefined },
): Promise<void> {
  const values = createContextValues();
  values.set(refusedKey, close === undefined);
  const encoding = takeEncoding(request.headers);
  const universal = universalRequestFromNodeRequest(request, response, undefined, values);
  const { signal } = universal;
  signal.addEventListener("abort", () => ending.abort(signal.reason), { once: true });
  // Without a body parsed by somebody else, which there is not, it is the stream of the request.
  const held = holdBody(universal.body as AsyncIterable<Uint8Array>, encoding);
  values.set(bodyKey, held);
  const { remoteAddress, remotePort } = request.socket;
  values.set(peerKey, { remoteAddress, remotePort });
  await universalResponseToNodeResponse(
    await handler({ ...universal, signal: ending.signal, body: held.body }),
    response,
  );
}

/**
 * Listens for browsers: gRPC-Web and Connect, the same handlers and the same gate as gRPC. No GET, which would put
 * messages into urls; pages of the listed origins only. Backends get the same on a listener of their own. HTTP/1.1 and
 * HTTP/2, over TLS and in cleartext.
 */
export async function listenGateway(options: GatewayOptions): Promise<ListeningServer> {
  const stopping = new AbortController();
  let refusing = false;
  let noticed: Promise<void> | undefined;
  setMaxListeners(0, stopping.signal);
  const rise: Peers["rise"] = (peer, standing) => peers.rise(peer, standing);
  const load = options.load ?? createLoad({ ...DEFAULT_LIMITS, ...options.limits }, options.onLimit ?? (() => {}));
  const { onLimit = () => {}, identify, loopbackOrigins = false } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const peersOfCa = new CertifiedPeers();
  const certified =
    identify &&
    (({ remoteAddress, remotePort }: Peer) => ({
      caller: peersOfCa.callerOf(peerNameOf(remoteAddress, remotePort)),
    }));
  const guarding = { shutdownSignal: stopping.signal, rise, refuses: () => refusing, load, certified };
  const handlers = routes(options, guarding);
  const notFound = noSuchPath(options.services);
  const origins = { listed: options.origins, loopback: loopbackOrigins };
  const findAddress = createFindClientAddress(options.proxies);
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    const ending = new AbortController();
    const isStream = handler !== undefined && handler.method.methodKind !== "unary";
    peers.arrived(request, response, isStream ? () => ending.abort(LATE) : undefined);
    if (!allowOrigin(request, response, origins)) return;
    if (refuseMetadata(request, response, limits.maxMetadataBytes)) return;
    const page = request.method === "GET" ? options.pages?.get(path) : undefined;
    if (page) {
      const { ip } = findAddress(request.socket.remoteAddress ?? "", readable(request.headers));
      return void show(request, response, { page, ip }).catch(() => response.destroy());
    }
    const take = request.method === "POST" ? options.receivers?.get(path) : undefined;
    if (take) return void receivePost(request, response, take).catch(() => response.destroy());
    if (!handler) return refuseRequest(request, response, { error: notFound, status: 404 });
    if (request.method !== "POST") return refuseRequest(request, response, NO_METHOD);
    const { "content-type": type } = request.headers;
    if (type !== undefined) request.headers["content-type"] = plainContentType(type);
    if (refuseForm(request, response, handler)) return;
    dropEndlessTimeouts(request.headers);
    attachPromptCookie(request.headers);
    const { remoteAddress, remotePort } = request.socket;
    const held = isStream ? load.streams : load.calls;
    const close = held.open(peerNameOf(remoteAddress, remotePort), priorityOf(handler.method));
    if (close) response.once("close", close);
    handle(handler, request, response, { ending, close }).catch((thrown) => {
      // The peer went away in the middle; whatever else it is, there is no one left to answer.
      if (!request.destroyed) options.onUnexpected(thrown, handler.method);
      response.destroy();
    });
  };
  const timeouts = { ...timeoutsOf(limits), handshakeTimeout: limits.firstCallMs };
  const settings = { maxConcurrentStreams: limits.maxStreams };
  const http = { ...timeouts, maxHeaderSize: MAX_READ_HEADER_BYTES };
  const clients = identify && { requestCert: true, rejectUnauthorized: true };
  if (identify && !options.tls?.ca) throw new Error("certificates of clients need a CA to have signed them");
  const secure =
    options.tls &&
    createSecureServer(
      { ...options.tls, ...clients, ...http, ...RESETS, settings, allowHTTP1: true },
      listener as never,
    );
  if (identify) secure?.on("secureConnection", (socket: TLSSocket) => peersOfCa.add(socket, identify));
  const http1 = secure ? undefined : createServer(http, listener);
  const http2 = secure ?? createHttp2Server({ ...RESETS, settings }, listener as never);
  if (http1) shareCleartext(http1, http2 as Http2Server);
  const server = http1 ?? (secure as unknown as Server);
  answerUnreadable(server, limits);
  const peers = limitPeers(server, http2, limits, onLimit, sourcesOf(options, limits), options.peers ?? NO_REPORTS);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(options.port, options.host, resolve);
  });
  const address = server.address();
  const refuse = () => {
    noticed ??= (async () => {
      setImmediate(() => stopping.abort(STOPPING));
      await wait(limits.noticeMs);
      refusing = true;
    })();
    return noticed;
  };
  return {
    port: typeof address === "object" && address ? address.port : options.port,
    renew: (tls) => secure?.setSecureContext(tls),
    sockets: peers.count,
    refuse,
    async drain(graceMs) {
      const begun = performance.now();
      await Promise.race([refuse(), wait(graceMs)]);
      refusing = true;
      await peers.close(Math.max(0, graceMs - (performance.now() - begun)));
    },
  };
}
