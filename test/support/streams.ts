import type { DescMessage } from "@bufbuild/protobuf";
import {
  create,
  type DescMethodServerStreaming,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { CallFailed } from "./client.ts";

/** An open stream, as a client reads it. */
export interface Reading<T> extends AsyncIterable<T> {
  /** The next message; undefined once the stream has ended well. */
  next(): Promise<T | undefined>;
  /** Whatever comes until the stream ends. */
  rest(): Promise<T[]>;
  cancel(): void;
}

/** Opens a stream of an RPC by @grpc/grpc-js; it is cancelled when the test is over. */
export function openStream<I extends DescMessage, O extends DescMessage>(
  port: number,
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
  token: string,
): Reading<MessageShape<O>> {
  const channel = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const stream = channel.makeServerStreamRequest(
    `/${method.parent.typeName}/${method.name}`,
    (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
    (body) => fromBinary(method.output, body),
    create(method.input, request),
    metadata,
  );
  onTestFinished(() => {
    stream.cancel();
    channel.close();
  });
  const messages = stream[Symbol.asyncIterator]() as AsyncIterator<MessageShape<O>>;
  const next = async () => {
    try {
      const { done, value } = await messages.next();
      return done ? undefined : value;
    } catch (error) {
      throw new CallFailed(error as ServiceError);
    }
  };
  return {
    next,
    async rest() {
      const found: MessageShape<O>[] = [];
      for (let message = await next(); message !== undefined; message = await next()) found.push(message);
      return found;
    },
    cancel: () => stream.cancel(),
    async *[Symbol.asyncIterator]() {
      for (let message = await next(); message !== undefined; message = await next()) yield message;
    },
  };
}
