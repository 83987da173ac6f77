import { setMaxListeners } from "node:events";
import type { Http2Server } from "node:http2";
import type { Socket } from "node:net";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection as ReflectionV1 } from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ReflectionV1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import type { Identify } from "../access/certificate-identity.ts";
import { createFindClientAddress, type TrustedProxies } from "../access/client-address.ts";
import type { Gate } from "../access/gate.ts";
import { Connections, type PeerKind } from "../limits/connections.ts";
import { peerNameOf } from "../limits/idle-sockets.ts";
import { DEFAULT_LIMITS, type ListenerLimits, MAX_MESSAGE_BYTES, type OnLimit } from "../limits/listener-limits.ts";
import { createLoad, type Load } from "../limits/load.ts";
import { limitResets, NO_REPORTS, type PeerReports, RESETS } from "../limits/rapid-reset.ts";
import { sourcesOf } from "../limits/sources.ts";
import type { LogCall } from "../serve/call-log.ts";
import { Draining } from "../serve/draining.ts";
import { validation } from "../serve/validation.ts";
import { limitArrivals } from "./arrival-limits.ts";
import { guardCalls, sourceBehind } from "./call-guard.ts";
import { createHealth, type HealthState } from "./health.ts";
import { createHealthWatch } from "./health-watch.ts";
import { mount } from "./mount.ts";
import { answerHttp1, hintOf, type OtherPort } from "./other-protocols.ts";
import { createReflection } from "./reflection.ts";
import { listenForSockets } from "./sockets.ts";
import { guardStreams } from "./stream-guard.ts";
import type { TlsMaterial } from "./tls-files.ts";

/** A service and its implementation. */
export interface Served<S extends DescService = DescService> {
  readonly service: S;
  readonly implementation: ServiceImpl<S>;
}

/** The settings of a gRPC listener. */
export interface GrpcServerOptions {
  readonly services: readonly Served[];
  readonly gate: Gate;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** PEM certificate and key; absent means cleartext HTTP/2, for loopback or behind a terminating proxy. */
  readonly tls?: TlsMaterial | undefined;
  /** Requires certificates of clients, by the CA in `tls`, and says whose they are. */
  readonly identify?: Identify | undefined;
  /** Trusted proxies. */
  readonly proxies?: TrustedProxies | undefined;
  /** Whether every socket is a proxy's, so that limits by source do not apply. */
  readonly behindProxy?: boolean;
  readonly reflection: boolean;
  /** The other listeners, named to clients of other protocols. */
  readonly otherPorts?: () => readonly OtherPort[];
  /** What health reports; shared by the listeners of a process. */
  readonly health: HealthState;
  /** Recognises peers, and reports connections closed for rapid resets. */
  readonly peers?: PeerReports;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  readonly logCall?: LogCall;
  /** The process's admission control; by default one of its own. */
  readonly load?: Load;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<ListenerLimits>;
  readonly onLimit?: OnLimit;
}

/** A listening server of any kind. */
export interface ListeningServer {
  readonly port: number;
  /** How many sockets are open. */
  sockets(): number;
  /** The first part of a drain: refuses new calls after a notice, lets running ones end, and goes on listening. */
  refuse?(): unknown;
  /** Refuses new calls, lets running ones end, and closes the rest after `graceMs`. Resolves when all is closed. */
  drain(graceMs: number): Promise<void>;
  /** Uses another certificate for new connections; open ones keep theirs. */
  renew(tls: TlsMaterial): void;
}

const channelOptions = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc-node.max_session_memory": 10,
  // A client without a call reconnects for its next one; until then its socket is somebody else's.
  "grpc.max_connection_idle_ms": 5 * 60_000,
  // A peer that vanished without a word is noticed within 80 s (the answer has 20 s), not when its stream ends.
  "grpc.keepalive_time_ms": 60_000,
  // Stacks and tracing of every channel, for a tool nobody attaches.
  "grpc.enable_channelz": 0,
};

/** The part of the stop's time reserved for sending the last statuses. */
const FLUSH_MS = 1_000;

const methodsByPath = (services: readonly Served[]) =>
  new Map(
    services.flatMap(({ service }) =>
      service.methods.map((method) => [`/${service.typeName}/${method.name}`, method] as const),
    ),
  );

/** Listens for gRPC: the given services behind the gate, health and, where switched on, reflection before it. */
export async function listenGrpc(options: GrpcServerOptions): Promise<ListeningServer> {
  // Its log is what strangers sent (illegal header names with their values), written to stderr.
  setLogVerbosity(logVerbosity.NONE);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { onLimit = () => {} } = options;
  const interceptors = [limitArrivals(limits, onLimit)];
  const server = new Server({ ...channelOptions, "grpc.max_concurrent_streams": limits.maxStreams, interceptors });
  // What grpc-js makes its HTTP/2 server with, and that server: it hands on neither. Private fields, held by test/faults.
  const inside = server as unknown as { commonServerOptions: object; http2Servers: Map<Http2Server, unknown> };
  // Strictness about spaces would leave out "Bearer " as if no token had been shown, and a certificate would do.
  Object.assign(inside.commonServerOptions, RESETS, { strictFieldWhitespaceValidation: false });
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const closing = new AbortController();
  const draining = new Draining(limits.noticeMs);
  const open = { onUnexpected: options.onUnexpected, shutdown: stopping.signal };
  const { gate, logCall } = options;
  const certified = options.identify && ((peer: string) => ({ caller: sockets.certified(peer) }));
  const findAddress = createFindClientAddress(options.proxies);
  const connections = new Connections();
  const rise = (peer: string, standing: PeerKind) => {
    const connection = connections.from(peer);
    if (connection?.rise(standing) && standing === "backend") sources.prove(connection.address, connection.port);
  };
  const load = options.load ?? createLoad(limits, onLimit);
  const admission = { gate, findAddress, certified, rise, work: load.work };
  const guarded = { admission, interceptors: [validation], ...(logCall && { logCall }) };
  for (const { service, implementation } of options.services) {
    mount(server, service, implementation, { ...open, ...guarded });
  }
  const descriptors = options.services.map(({ service }) => service);
  mount(server, Health, createHealth(options.health), open);
  if (options.reflection) {
    const { v1, v1alpha } = createReflection([...descriptors, Health]);
    mount(server, ReflectionV1, v1, open);
    mount(server, ReflectionV1Alpha, v1alpha, open);
  }

  // Cleartext for grpc-js: TLS, where it is on, ended at the socket.
  const sessions = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sources = sourcesOf(options, limits);
  const hint = () => hintOf(options.otherPorts?.() ?? []);
  const guarding = {
    hint,
    ...{ limits, onLimit },
    onCall: (address: string, port: number) => sockets.called(address, port),
    ...{ draining, load },
    methods: methodsByPath(options.services),
    watch: createHealthWatch(options.health, limits, { onLimit, stopping: closing.signal }),
    // Behind a proxy all that do not say who they are share its address.
    sourceOf: (peer: string, header: Pick<Headers, "get">) =>
      sourceBehind(findAddress(peer, header), peer, options.behindProxy),
  };
  for (const http2Server of inside.http2Servers.keys()) {
    const begins = limitResets(http2Server, { connections, sources, onLimit, ...(options.peers ?? NO_REPORTS) });
    guardStreams(http2Server, guardCalls({ ...guarding, begins }));
    // Who has a backend's certificate is known before the first call.
    http2Server.on("session", (session) => {
      const { address, port } = connections.of(session);
      if (certified?.(peerNameOf(address, port)).caller) rise(peerNameOf(address, port), "backend");
    });
  }
  const { host, port, tls, identify } = options;
  if (identify && !tls?.ca) throw new Error("certificates of clients need a CA to have signed them");
  const onSocket = sessions.injectConnection;
  const onOther = (socket: Socket) => answerHttp1(socket, hint());
  const sockets = await listenForSockets({ host, port, tls, identify, limits, onLimit, sources, onSocket, onOther });
  return {
    port: sockets.port,
    sockets: sockets.count,
    renew: sockets.renew,
    async drain(graceMs) {
      const begun = performance.now();
      const flushMs = Math.min(FLUSH_MS, graceMs / 5);
      // Streams wait for their client for ever. Those of health go on: they have just been told, and end last.
      setImmediate(() => stopping.abort());
      await draining.finish(graceMs - flushMs);
      closing.abort();
      // Says goodbye on every connection. Whether it ever calls back is up to the peers: the end of the sockets counts.
      server.tryShutdown(() => {});
      const late = setTimeout(() => draining.letGo(), flushMs / 2);
      // The statuses that were just given are on their way, however late it is.
      await sockets.close(Math.max(flushMs, graceMs - (performance.now() - begun)));
      clearTimeout(late);
    },
  };
}
