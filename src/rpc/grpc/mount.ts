import { once } from "node:events";
import { create, type DescMethod, type DescService, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createServiceImplSpec,
  type Interceptor,
  type MethodImplSpec,
  type ServiceImpl,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import type {
  handleBidiStreamingCall,
  handleUnaryCall,
  Server,
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { Refusal } from "../../core/refusal.ts";
import type { FindClientAddress } from "../access/client-address.ts";
import { type Certified, type Gate, peerKindOf } from "../access/gate.ts";
import type { AdmissionControl } from "../limits/admission.ts";
import type { PeerKind } from "../limits/connections.ts";
import type { LogCall } from "../serve/call-log.ts";
import { stopping, toConnectError } from "../serve/errors.ts";
import { GrpcContext } from "./call-context.ts";
import { toGrpcStatus } from "./error-status.ts";

/** The gate of a listener with its access to peers' identities. */
export interface ListenerGate {
  readonly gate: Gate;
  readonly findAddress: FindClientAddress;
  /** Where clients have certificates: what the one of a peer ("address:port") says. */
  readonly certified?: ((peer: string) => Certified) | undefined;
  /** Called with the kind of peer whose credential was verified on a connection. */
  readonly rise: (peer: string, standing: PeerKind) => void;
  readonly work: AdmissionControl;
}

/** What stands between the socket and the handlers of a service. */
export interface MountOptions {
  /** Run before a body is decoded; absent for services without authentication (health, reflection). */
  readonly admission?: ListenerGate;
  readonly interceptors?: readonly Interceptor[];
  /** Writes a line for each call; absent for health and reflection. */
  readonly logCall?: LogCall;
  /** Called with unexpected errors; the client gets only "internal error". */
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  /** Aborted when the server drains; ends the streams. */
  readonly shutdown: AbortSignal;
}

function decode(method: DescMethod, body: Buffer): Message {
  try {
    return fromBinary(method.input, body);
  } catch {
    throw new Refusal("MALFORMED_MESSAGE");
  }
}

const encode = (method: DescMethod, message: object): Buffer =>
  Buffer.from(toBinary(method.output, create(method.output, message as Message)));

/** Connect's view of a request or a response: getters, because most calls never look at headers or signal. */
const requestOf = (context: GrpcContext, message: unknown, stream: boolean) => ({
  stream,
  message,
  service: context.service,
  method: context.method,
  requestMethod: context.requestMethod,
  url: context.url,
  contextValues: context.values,
  get signal() {
    return context.signal;
  },
  get header() {
    return context.requestHeader;
  },
});

const responseOf = (context: GrpcContext, message: unknown, stream: boolean) => ({
  stream,
  message,
  service: context.service,
  method: context.method,
  get header() {
    return context.responseHeader;
  },
  get trailer() {
    return context.responseTrailer;
  },
});

/** Runs the gate for a call. */
const admit = async ({ admission }: MountOptions, { method, values, arrived, peer }: GrpcContext) => {
  if (!admission) return;
  const { gate, findAddress, certified, rise } = admission;
  const address = findAddress(peer.slice(0, peer.lastIndexOf(":")), arrived);
  try {
    await gate({ method, values, requestHeader: arrived, address, certified: certified?.(peer) });
  } finally {
    rise(peer, peerKindOf(values));
  }
};

/** Runs a call under admission control; services without authentication (health) do not wait. */
const inTurn = <T>({ admission }: MountOptions, { method, peer }: GrpcContext, work: () => Promise<T>): Promise<T> =>
  admission ? admission.work.run(method, peer, work) : work();

/** Tells the log how a call ended, and the status it ended with where that is not OK. */
function conclude({ logCall, onUnexpected }: MountOptions, context: GrpcContext, startedMs: number) {
  const { method, values, arrived } = context;
  const log = (error?: ConnectError) => logCall?.({ method, values, requestHeader: arrived, startedMs, error });
  return {
    well: () => log(),
    badly: (thrown: unknown) => {
      const error = toConnectError(thrown, (unexpected) => onUnexpected(unexpected, method));
      log(error);
      return toGrpcStatus(error);
    },
  };
}

type AnyFn = (request: UnaryRequest | StreamRequest) => Promise<UnaryResponse | StreamResponse>;

const wrap = (last: AnyFn, interceptors: readonly Interceptor[] = []): AnyFn =>
  interceptors.reduceRight<AnyFn>((next, interceptor) => interceptor(next), last);

function unary(spec: MethodImplSpec & { kind: "unary" }, options: MountOptions): handleUnaryCall<Buffer, Buffer> {
  const { method } = spec;
  const answer = async (context: GrpcContext, body: Buffer): Promise<Buffer> => {
    await admit(options, context);
    const last = async ({ message }: UnaryRequest) =>
      responseOf(context, await spec.impl(message, context), false) as UnaryResponse;
    const request = requestOf(context, decode(method, body), false) as UnaryRequest;
    const { message } = await wrap(last as AnyFn, options.interceptors)(request);
    return encode(method, message);
  };
  return (call, callback) => {
    const context = new GrpcContext(method, call);
    const end = conclude(options, context, performance.now());
    const work = () => {
      // A client that has left while the call waited must not have a code spent.
      if (call.cancelled) throw new ConnectError("the call was cancelled", Code.Canceled);
      return answer(context, call.request);
    };
    inTurn(options, context, async () => work()).then(
      (body) => {
        end.well();
        const header = context.sentHeader();
        if (header) call.sendMetadata(header);
        callback(null, body, context.sentTrailer());
      },
      (thrown: unknown) => callback(end.badly(thrown)),
    );
  };
}

async function only(method: DescMethod, messages: AsyncIterable<Message>): Promise<Message> {
  for await (const message of messages) return message;
  throw new Refusal("MALFORMED_MESSAGE", { metadata: { expected: method.input.typeName } });
}

/** Writes each message with backpressure. It holds none between two. */
async function send(output: AsyncIterator<object>, call: ServerDuplexStream<Buffer, Buffer>, context: GrpcContext) {
  const one = async () => {
    const { done, value } = await output.next();
    if (done || context.signal.aborted) return false;
    if (!call.write(encode(context.method, value))) await once(call, "drain", { signal: context.signal });
    return true;
  };
  try {
    while (await one());
  } finally {
    await output.return?.();
  }
}

/** One arm for every kind of stream: on the wire a server stream is a bidirectional one with a single request. */
function streaming(
  spec: MethodImplSpec & { kind: "server_streaming" | "bidi_streaming" },
  options: MountOptions,
): handleBidiStreamingCall<Buffer, Buffer> {
  const { method } = spec;
  return async (call) => {
    const context = new GrpcContext(method, call);
    const end = conclude(options, context, performance.now());
    const input = async function* () {
      // Without destroyOnReturn: false the call dies with the iterator and its trailers are never sent.
      for await (const body of call.iterator({ destroyOnReturn: false })) yield decode(method, body);
    };
    const last = async ({ message }: StreamRequest) => {
      const output =
        spec.kind === "bidi_streaming" ? spec.impl(message, context) : spec.impl(await only(method, message), context);
      return responseOf(context, output, true) as StreamResponse;
    };
    // By itself, so that the request is not held for as long as the stream lasts.
    const begin = async () => {
      const request = requestOf(context, input(), true) as StreamRequest;
      const { message } = (await wrap(last as AnyFn, options.interceptors)(request)) as StreamResponse;
      return message[Symbol.asyncIterator]();
    };
    // A stream that waits for its client, or for something to happen, would outlive the server.
    const stop = () => {
      call.emit("error", toGrpcStatus(stopping()));
      context.abort();
    };
    if (options.shutdown.aborted) return stop();
    options.shutdown.addEventListener("abort", stop, { once: true });
    try {
      await inTurn(options, context, () => admit(options, context));
      context.forgetCredentials();
      await send(await begin(), call, context);
      end.well();
      if (!context.signal.aborted) call.end(context.sentTrailer());
    } catch (thrown) {
      // The client has left or was told of the stop: nothing more is sent.
      if (context.signal.aborted) return end.well();
      call.emit("error", end.badly(thrown));
    } finally {
      options.shutdown.removeEventListener("abort", stop);
    }
  };
}

/**
 * Mounts a Connect implementation on a grpc-js server, which carries the same handlers at a fraction of the cost of
 * connect-node. Bodies pass grpc-js as bytes: decoding happens behind the gate, where a malformed one can be refused
 * as INVALID_ARGUMENT.
 */
export function mount<S extends DescService>(
  server: Server,
  service: S,
  implementation: Partial<ServiceImpl<S>>,
  options: MountOptions,
): void {
  const bytes = (body: Buffer) => body;
  const definition: Record<string, ServiceDefinition[string]> = {};
  const handlers: UntypedServiceImplementation = {};
  for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) {
    const { name, localName } = spec.method;
    if (spec.kind === "client_streaming") throw new Error(`${service.typeName}/${name}: no arm for client streams`);
    const streams = spec.kind !== "unary";
    definition[localName] = {
      path: `/${service.typeName}/${name}`,
      requestStream: streams,
      responseStream: streams,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    };
    handlers[localName] = spec.kind === "unary" ? unary(spec, options) : streaming(spec, options);
  }
  server.addService(definition, handlers);
}
