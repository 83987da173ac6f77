import { setMaxListeners } from "node:events";
import type { Http2Server } from "node:http2";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection as ReflectionV1 } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ReflectionV1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { DEFAULT_LIMITS, type ListenerLimits, MAX_MESSAGE_BYTES, type OnLimit } from "../core/listener-limits.ts";
import { limitArrivals } from "./arrival-limits.ts";
import type { LogCall } from "./call-log.ts";
import type { Identify } from "./certificate-identity.ts";
import { createFindClientAddress, type TrustedProxies } from "./client-address.ts";
import type { Gate } from "./gate.ts";
import { mount } from "./grpc-mount.ts";
import { createHealth, type HealthState } from "./health.ts";
import { createReflection } from "./reflection.ts";
import { limitResets, RESETS } from "./resets.ts";
import { listenForSockets } from "./sockets.ts";
import { sourcesOf } from "./sources.ts";
import type { TlsMaterial } from "./tls-files.ts";
import { validation } from "./validation.ts";

/** A service and what answers it. */
export interface Served<S extends DescService = DescService> {
  readonly service: S;
  readonly implementation: ServiceImpl<S>;
}

/** Where and how the gRPC listener stands. */
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
  /** Proxies whose word about addresses counts. */
  readonly proxies?: TrustedProxies | undefined;
  /** Whether every socket is a proxy's, so that nothing is asked of sources here. */
  readonly behindProxy?: boolean;
  readonly reflection: boolean;
  /** What health reports; shared by the listeners of a process. */
  readonly health: HealthState;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  readonly logCall?: LogCall;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<ListenerLimits>;
  readonly onLimit?: OnLimit;
}

/** A listening server, of whatever kind. */
export interface Listener {
  readonly port: number;
  /** How many sockets are open. */
  sockets(): number;
  /** Refuses new calls, lets running ones end, and cuts what is left after `graceMs`. Resolves when all is closed. */
  drain(graceMs: number): Promise<void>;
  /** Takes another certificate for new connections; open ones keep theirs. */
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

/** Listens for gRPC: the given services behind the gate, health and, where switched on, reflection before it. */
export async function listenGrpc(options: GrpcServerOptions): Promise<Listener> {
  // Its log is what strangers sent (illegal header names with their values), written to stderr.
  setLogVerbosity(logVerbosity.NONE);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { onLimit = () => {} } = options;
  const onCall = (address: string, port: number) => sockets.called(address, port);
  const interceptors = [limitArrivals(limits, { onCall, onLimit })];
  const server = new Server({ ...channelOptions, "grpc.max_concurrent_streams": limits.maxStreams, interceptors });
  // What grpc-js makes its HTTP/2 server with, and that server: it hands on neither. Private fields, held by test/faults.
  const inside = server as unknown as { commonServerOptions: object; http2Servers: Map<Http2Server, unknown> };
  // Strictness about spaces would leave out "Bearer " as if no token had been shown, and a certificate would do.
  Object.assign(inside.commonServerOptions, RESETS, { strictFieldWhitespaceValidation: false });
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const open = { onUnexpected: options.onUnexpected, shutdown: stopping.signal };
  const { gate, logCall } = options;
  const certified = options.identify && ((peer: string) => ({ caller: sockets.certified(peer) }));
  const admission = { gate, findAddress: createFindClientAddress(options.proxies), certified };
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
  for (const http2Server of inside.http2Servers.keys()) {
    limitResets(http2Server, (address) => {
      onLimit("resets");
      sources.cut(address);
    });
  }
  const { host, port, tls, identify } = options;
  if (identify && !tls?.ca) throw new Error("certificates of clients need a CA to have signed them");
  const onSocket = sessions.injectConnection;
  const sockets = await listenForSockets({ host, port, tls, identify, limits, onLimit, sources, onSocket });
  return {
    port: sockets.port,
    sockets: sockets.count,
    renew: sockets.renew,
    drain(graceMs) {
      // Says goodbye on every connection and lets its calls end. Whether it ever calls back is up to the peers: the
      // end of the sockets counts.
      server.tryShutdown(() => {});
      // Streams wait for their client for ever; watchers of health have just been told.
      setImmediate(() => stopping.abort());
      return sockets.close(graceMs);
    },
  };
}
