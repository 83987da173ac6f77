import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { expect, onTestFinished } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { ErrorReason } from "../../../gen/mfa/v1/error_reason_pb.js";

/** A call that did not end OK, as a client of any language sees it. */
export class CallFailed extends Error {
  readonly code: number;
  readonly reason: string;
  readonly metadata: Record<string, string>;
  readonly retryAfterMs: number | undefined;

  constructor(error: ServiceError) {
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const details = bytes ? fromBinary(StatusSchema, Buffer.from(bytes as Buffer)).details : [];
    const info = details.map((any) => anyUnpack(any, ErrorInfoSchema)).find((found) => found !== undefined);
    const retry = details.map((any) => anyUnpack(any, RetryInfoSchema)).find((found) => found !== undefined);
    super(`${error.code} ${error.details} ${info?.reason ?? ""}`);
    this.code = error.code;
    this.reason = info?.reason ?? "";
    this.metadata = info?.metadata ?? {};
    this.retryAfterMs = retry?.retryDelay && durationMs(retry.retryDelay);
    if (info) expect(Object.keys(ErrorReason)).toContain(info.reason);
  }
}

/** The unary RPCs of a service as functions. */
export type Rpcs<S extends DescService> = {
  [M in keyof S["method"]]: S["method"][M] extends DescMethod
    ? (
        request: MessageInitShape<S["method"][M]["input"]>,
        token?: string,
        headers?: Record<string, string>,
      ) => Promise<MessageShape<S["method"][M]["output"]>>
    : never;
};

/** One @grpc/grpc-js channel to a service, typed by its descriptor. */
export function grpcClient<S extends DescService>(service: S, port: number, defaultToken?: string) {
  const channel = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const rpc =
    (method: DescMethod) => (request: Record<string, unknown>, token?: string, headers?: Record<string, string>) =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata();
        const bearer = token ?? defaultToken;
        if (bearer !== undefined) metadata.set("authorization", `Bearer ${bearer}`);
        for (const [name, value] of Object.entries(headers ?? {})) metadata.set(name, value);
        channel.makeUnaryRequest(
          `/${service.typeName}/${method.name}`,
          (message: MessageShape<DescMethod["input"]>) => Buffer.from(toBinary(method.input, message)),
          (body) => fromBinary(method.output, body),
          create(method.input, request),
          metadata,
          (error, reply) => (error ? reject(new CallFailed(error)) : resolve(reply)),
        );
      });
  const rpcs = Object.fromEntries(service.methods.map((method) => [method.localName, rpc(method)]));
  return { rpcs: rpcs as unknown as Rpcs<S>, close: () => channel.close() };
}

/** One open stream of an RPC, as a client sees it. */
export interface OpenStream<T> {
  /** The next message; undefined once the stream has ended well. */
  next(): Promise<T | undefined>;
  cancel(): void;
}

/** Opens streams of a service's RPCs over @grpc/grpc-js; cancelled when the test is over. */
export function streamer(port: number) {
  const channel = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => channel.close());
  return <I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    token: string,
  ): OpenStream<MessageShape<O>> => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    const call = channel.makeServerStreamRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (body) => fromBinary(method.output, body),
      create(method.input, request),
      metadata,
    );
    const messages = call[Symbol.asyncIterator]() as AsyncIterator<MessageShape<O>>;
    onTestFinished(() => call.cancel());
    return {
      next: async () => {
        try {
          const { done, value } = await messages.next();
          return done ? undefined : value;
        } catch (error) {
          throw new CallFailed(error as ServiceError);
        }
      },
      cancel: () => call.cancel(),
    };
  };
}

/** Whatever a stream brings until it ends. */
export async function drain<T>(stream: OpenStream<T>): Promise<T[]> {
  const found: T[] = [];
  for (let message = await stream.next(); message !== undefined; message = await stream.next()) found.push(message);
  return found;
}

/**
 * Sends bytes as they are, and answers how the call failed, or undefined where it did not. `endMs` ends what may go on
 * for as long as its client likes: a stream that was let in.
 */
export function rawCaller(port: number, using = credentials.createInsecure()) {
  // Our certificates are for localhost.
  const options = { "grpc.use_local_subchannel_pool": 1, "grpc.ssl_target_name_override": "localhost" };
  const channel = new Client(`127.0.0.1:${port}`, using, options);
  onTestFinished(() => channel.close());
  const bytes = (buffer: Buffer) => buffer;
  return (path: string, body: Buffer, authorization?: string, endMs?: number): Promise<CallFailed | undefined> => {
    const metadata = new Metadata();
    if (authorization) metadata.set("authorization", authorization);
    const limit = endMs === undefined ? {} : { deadline: Date.now() + endMs };
    return new Promise((resolve) => {
      channel.makeUnaryRequest(path, bytes, bytes, body, metadata, limit, (error: ServiceError | null) =>
        resolve(error ? new CallFailed(error) : undefined),
      );
    });
  };
}

/** What a call failed with; fails the test when it did not. */
export async function failure(call: Promise<unknown>): Promise<CallFailed> {
  const outcome = await call.then(
    (reply) => reply,
    (error: unknown) => error,
  );
  if (outcome instanceof CallFailed) return outcome;
  throw new Error("the call was expected to fail and did not", { cause: outcome });
}

/** How many calls ended how: "OK", or the reason, or the bare code. */
export async function tally(calls: readonly Promise<unknown>[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const result of await Promise.allSettled(calls)) {
    const failed = result.status === "rejected" ? (result.reason as CallFailed) : undefined;
    const name = failed ? failed.reason || String(failed.code) : "OK";
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
