import type { IncomingHttpHeaders } from "node:http";
import { gunzipSync } from "node:zlib";
import { Refusal } from "../../core/refusal.ts";
import { MAX_MESSAGE_BYTES } from "../limits/listener-limits.ts";
import { tooLarge } from "../serve/errors.ts";

/** The compression of a body that is taken, beside none. */
export type Encoding = "identity" | "gzip";

/** By which headers a body says that it is compressed. */
const ENCODINGS = ["content-encoding", "grpc-encoding", "connect-content-encoding"];

/**
 * Takes out of a request's headers that its body is gzip, and its compressed length: Connect then sees the plain message.
 * Other compressions stay, and are refused by `requireTaken`.
 */
export function takeEncoding(headers: IncomingHttpHeaders): Encoding {
  let found: Encoding = "identity";
  for (const name of ENCODINGS) {
    if (String(headers[name] ?? "").toLowerCase() !== "gzip") continue;
    found = "gzip";
    delete headers[name];
    delete headers["content-length"];
  }
  return found;
}

/** Throws the refusal of a body in a compression that is not taken. */
export function requireTaken(header: Pick<Headers, "get">): void {
  if (ENCODINGS.every((name) => (header.get(name) ?? "identity") === "identity")) return;
  throw new Refusal("ENCODING_REFUSED", { metadata: { taken: "identity, gzip" } });
}

/**
 * Decompresses a message of at most as many bytes as a plain one may have: of one that swells further, no more is ever
 * made. Throws TOO_LARGE for that one and MALFORMED_MESSAGE for what is no gzip.
 */
export function gunzip(compressed: Buffer): Buffer {
  try {
    return gunzipSync(compressed, { maxOutputLength: MAX_MESSAGE_BYTES });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLarge("message", MAX_MESSAGE_BYTES);
    throw new Refusal("MALFORMED_MESSAGE");
  }
}

/** JSON is UTF-8, and may say so: quoted or not, in any case, with spaces around (RFC 9110 §8.3). */
const JSON_IN_UTF8 = /^(application\/(?:connect\+)?json)[ \t]*;[ \t]*charset=(?:"utf-?8"|utf-?8)[ \t]*;?[ \t]*$/i;

/** A content type in the one form that Connect knows, its name in lower case. */
export const plainContentType = (type: string): string =>
  (JSON_IN_UTF8.exec(type)?.[1] ?? type).replace(/^[^;]*/, (name) => name.toLowerCase());
