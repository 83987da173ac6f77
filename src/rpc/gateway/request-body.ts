import type { Socket } from "node:net";
import { type DescMessage, fromBinary, fromJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { Refusal } from "../../core/refusal.ts";
import { MAX_MESSAGE_BYTES } from "../limits/listener-limits.ts";
import { tooLarge } from "../serve/errors.ts";
import { type Encoding, gunzip } from "./request-encoding.ts";

/** A body that is not read before the gate has admitted the call. */
export interface HeldBody {
  /** What the transport reads in its place. */
  readonly body: AsyncIterable<Uint8Array>;
  /** How its message is compressed. */
  readonly encoding: Encoding;
  /** Reads it whole, up to `maxBytes`. */
  read(maxBytes: number): Promise<Buffer>;
  /** Has the transport read another one in its place. */
  replace(body: Buffer): void;
}

/** Where the gateway leaves the body for the gate. */
export const bodyKey = createContextKey<HeldBody | undefined>(undefined, { description: "body" });

/** The other end of a connection. */
export type Peer = Pick<Socket, "remoteAddress" | "remotePort">;

/** Where the gateway leaves the other end of the connection. */
export const peerKey = createContextKey<Peer>(
  { remoteAddress: undefined, remotePort: undefined },
  { description: "peer" },
);

/** A body that breaks off is the client's doing: no unexpected error, and no receiver for a reply. */
async function* untilGone(source: AsyncIterable<Uint8Array>) {
  try {
    yield* source;
  } catch {
    throw new ConnectError("the client went away before the end of its message", Code.Canceled);
  }
}

/** Defers the reading of a request's body. */
export function holdBody(source: AsyncIterable<Uint8Array>, encoding: Encoding = "identity"): HeldBody {
  let read: Promise<Buffer> | undefined;
  const collect = async (maxBytes: number) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of untilGone(source)) {
      size += chunk.byteLength;
      if (size > maxBytes) throw tooLarge("message", MAX_MESSAGE_BYTES);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  };
  return {
    encoding,
    replace: (body) => {
      read = Promise.resolve(body);
    },
    read: (maxBytes) => {
      read ??= collect(maxBytes);
      return read;
    },
    body: {
      async *[Symbol.asyncIterator]() {
        const body = await read;
        if (body) yield body;
      },
    },
  };
}

const ENVELOPE_BYTES = 5;

const COMPRESSED_FLAG = 1;

/** The message inside an envelope of gRPC-Web or Connect: one byte of flags, four of length, the message. */
function unwrap(body: Buffer, encoding: Encoding): Buffer {
  const [flags] = body;
  const isCompressed = flags === COMPRESSED_FLAG && encoding === "gzip";
  if (body.length < ENVELOPE_BYTES || (flags !== 0 && !isCompressed)) throw new Refusal("MALFORMED_MESSAGE");
  if (body.readUInt32BE(1) !== body.length - ENVELOPE_BYTES) throw new Refusal("MALFORMED_MESSAGE");
  const message = body.subarray(ENVELOPE_BYTES);
  return isCompressed ? gunzip(message) : message;
}

/** Puts a plain message into an envelope. */
function wrap(message: Buffer): Buffer {
  const head = Buffer.alloc(ENVELOPE_BYTES);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** As Connect will decode it a moment later. */
function assertDecodes(type: DescMessage, body: Buffer, json: boolean): void {
  try {
    if (json) fromJsonString(type, body.toString(), { ignoreUnknownFields: true });
    else fromBinary(type, body);
  } catch {
    throw new Refusal("MALFORMED_MESSAGE");
  }
}

/**
 * Reads the body of an admitted call, decompresses it and refuses malformed messages: Connect's own decoding would
 * answer INTERNAL to binary, and to JSON with a text that repeats it and without a reason.
 */
export async function readBody({ values, method, requestHeader }: HandlerContext, maxBytes: number): Promise<void> {
  const held = values.get(bodyKey);
  const body = await held?.read(maxBytes + ENVELOPE_BYTES);
  const type = requestHeader.get("content-type") ?? "";
  if (!held || !body) return;
  const { encoding } = held;
  const enveloped = type.startsWith("application/grpc-web") || type.startsWith("application/connect+");
  const plain = enveloped ? unwrap(body, encoding) : encoding === "gzip" ? gunzip(body) : body;
  if (encoding === "gzip") held.replace(enveloped ? wrap(plain) : plain);
  assertDecodes(method.input, plain, type.includes("json"));
}
