import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { StatusObject } from "@grpc/grpc-js";
import { Refusal } from "../../core/refusal.ts";
import { MAX_MESSAGE_BYTES } from "../limits/listener-limits.ts";
import { refusalToError } from "../serve/errors.ts";
import { COMPRESSED, TOO_LARGE } from "./builtin-errors.ts";
import { toGrpcStatus } from "./error-status.ts";

const ENVELOPE_BYTES = 5;
const MALFORMED = toGrpcStatus(refusalToError(new Refusal("MALFORMED_MESSAGE")));

type Outcome = { readonly body: Buffer } | { readonly refusal: StatusObject };

/** Calls back once with the first message of a gRPC stream, or with why there is none; further ones are not read. */
export function readFirstMessage(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  done: (outcome: Outcome) => void,
): void {
  const isCompressed = (headers["grpc-encoding"] ?? "identity") !== "identity";
  const chunks: Buffer[] = [];
  let size = 0;
  const end = (outcome: Outcome) => {
    stream.off("data", take);
    stream.off("end", missing);
    stream.resume();
    done(outcome);
  };
  const missing = () => end({ refusal: MALFORMED });
  // Known once the head is there. The chunks are put together twice at most, however small they are.
  let due = 0;
  const take = (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size < (due || ENVELOPE_BYTES)) return;
    const whole = Buffer.concat(chunks);
    due = ENVELOPE_BYTES + whole.readUInt32BE(1);
    if (whole[0] !== 0) return end({ refusal: COMPRESSED });
    if (due > MAX_MESSAGE_BYTES + ENVELOPE_BYTES) return end({ refusal: TOO_LARGE });
    if (size >= due) end({ body: whole.subarray(ENVELOPE_BYTES, due) });
  };
  if (isCompressed) return void done({ refusal: COMPRESSED });
  stream.on("data", take);
  stream.once("end", missing);
}
