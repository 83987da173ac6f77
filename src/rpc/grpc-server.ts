import { setMaxListeners } from "node:events";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection as ReflectionV1 } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ReflectionV1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import type { Gate } from "./gate.ts";
import { mount } from "./grpc-mount.ts";
import { createHealth, HealthState } from "./health.ts";
import { createReflection } from "./reflection.ts";
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
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  readonly reflection: boolean;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
}

/** A listening server. */
export interface GrpcServer {
  readonly port: number;
  /** Refuses new calls, lets running ones end, and cuts what is left after `graceMs`. Resolves when all is closed. */
  drain(graceMs: number): Promise<void>;
}

const MAX_MESSAGE_BYTES = 64 * 1024;

const channelOptions = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_concurrent_streams": 1000,
  "grpc-node.max_session_memory": 10,
  // Stacks and tracing of every channel, for a tool nobody attaches.
  "grpc.enable_channelz": 0,
};

function credentials(tls: GrpcServerOptions["tls"]): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(null, [{ cert_chain: tls.cert, private_key: tls.key }]);
}

/** Listens for gRPC: the given services behind the gate, health and, where switched on, reflection before it. */
export async function listenGrpc(options: GrpcServerOptions): Promise<GrpcServer> {
  const server = new Server(channelOptions);
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const open = { onUnexpected: options.onUnexpected, shutdown: stopping.signal };
  for (const { service, implementation } of options.services) {
    mount(server, service, implementation, { ...open, gate: options.gate, interceptors: [validation] });
  }
  const descriptors = options.services.map(({ service }) => service);
  const health = new HealthState(descriptors.map(({ typeName }) => typeName));
  mount(server, Health, createHealth(health), open);
  if (options.reflection) {
    const { v1, v1alpha } = createReflection([...descriptors, Health]);
    mount(server, ReflectionV1, v1, open);
    mount(server, ReflectionV1Alpha, v1alpha, open);
  }

  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${options.port}`, credentials(options.tls), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    port,
    drain: (graceMs) =>
      new Promise((resolve) => {
        health.setAll(ServingStatus.NOT_SERVING);
        const cut = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
        // Streams wait for their client for ever; watchers of health have just been told.
        setImmediate(() => stopping.abort());
      }),
  };
}
