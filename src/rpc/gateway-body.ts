import { type DescMessage, fromBinary, fromJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { Refusal } from "../core/refusal.ts";

/** A body that nobody reads before the gate has opened. */
export interface HeldBody {
  /** What the transport reads in its place. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads it whole, up to `maxBytes`. */
  read(maxBytes: number): Promise<Buffer>;
}

/** Where the gateway leaves the body for the gate. */
export const bodyKey = createContextKey<HeldBody | undefined>(undefined, { description: "body" });

/** Where the gateway leaves the address of the other end of the connection. */
export const peerKey = createContextKey("", { description: "peer" });

/** Holds a request's body back. */
export function holdBody(source: AsyncIterable<Uint8Array>): HeldBody {
  let read: Promise<Buffer> | undefined;
  const collect = async (maxBytes: number) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of source) {
      size += chunk.byteLength;
      if (size > maxBytes) throw new ConnectError("the message is larger than 64 KiB", Code.ResourceExhausted);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  };
  return {
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

/** The message inside a gRPC-Web envelope: one flag byte, four of length, the message. */
function unwrap(body: Buffer): Buffer {
  if (body.length < ENVELOPE_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.length - ENVELOPE_BYTES) {
    throw new Refusal("MALFORMED_MESSAGE");
  }
  return body.subarray(ENVELOPE_BYTES);
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
 * Reads the body of a call that was let in, and refuses what is no message: Connect's own decoding would answer
 * INTERNAL to binary, and to JSON with a text that repeats it and without a reason.
 */
export async function readBody({ values, method, requestHeader }: HandlerContext, maxBytes: number): Promise<void> {
  const body = await values.get(bodyKey)?.read(maxBytes + ENVELOPE_BYTES);
  const type = requestHeader.get("content-type") ?? "";
  if (!body) return;
  const enveloped = type.startsWith("application/grpc-web") || type.startsWith("application/connect+");
  const message = enveloped ? unwrap(body) : body;
  assertDecodes(method.input, message, type.includes("json"));
}
