import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { rootCertificates } from "node:tls";
import type { DeliveryRequest } from "./delivery-request.ts";
import type { Destinations } from "./destination.ts";

/** The result of a delivery: undefined on success, else a kind of failure, never the peer's text. */
export type DeliveryFailure = string | undefined;

/** Posts deliveries. */
export type Post = (url: string, delivery: DeliveryRequest, signal: AbortSignal) => Promise<DeliveryFailure>;

const LIMIT_MS = 10_000;
const KIND = /^[A-Z][A-Z0-9_]{0,39}$/;
/** The error of an idle connection that the peer has closed: the request was not read. */
const STALE: ReadonlySet<string | undefined> = new Set(["ECONNRESET", "EPIPE"]);
/** Bytes of a response read and discarded to keep the connection; a longer response closes it. */
const MAX_ANSWER = 16 * 1024;

/** Dependencies of posting. */
export interface PostOptions {
  readonly destinations: Destinations;
  /** CAs besides the public ones, PEM. */
  readonly ca?: string | undefined;
  /** The time limit of a response. */
  readonly limitMs?: number;
}

/** Reads a response to its end, so that the connection can be reused, and closes the connection on a long one. */
function discard(response: IncomingMessage): void {
  let bytes = 0;
  response.on("error", () => {});
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER) response.destroy();
  });
}

/**
 * Posts by HTTPS to addresses admitted at connection time. Redirects are not followed, since they would bypass that.
 * Connections are kept for ten seconds: a handshake costs more than a delivery. The response is discarded but for its
 * status. The caller limits concurrent posts: a limit for each host would make endpoints of one host wait for each
 * other.
 */
export function createPost({ destinations, ca: own, limitMs = LIMIT_MS }: PostOptions): { post: Post; close(): void } {
  const { lookup } = destinations;
  // Given CAs would replace the default ones.
  const ca = own === undefined ? undefined : [...rootCertificates, own];
  const agent = new Agent({ keepAlive: true, timeout: limitMs, lookup, ca });
  const post: Post = (text, { headers, body }, signal) =>
    new Promise((resolve) => {
      const url = new URL(text);
      // An IP literal needs no look-up, so it is judged here.
      if (!destinations.admitsLiteral(url)) return resolve("PRIVATE_ADDRESS");
      const end = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
      const length = { "content-length": String(Buffer.byteLength(body)) };
      const options = { method: "POST", agent, signal: end, headers: { ...headers, ...length } };
      const attempt = () => {
        const sent = request(url, options, (response) => {
          const { statusCode: status = 0 } = response;
          discard(response);
          resolve(status >= 200 && status < 300 ? undefined : `HTTP_${status}`);
        });
        sent.on("error", (error: NodeJS.ErrnoException) => {
          if (end.aborted) return resolve(signal.aborted ? "STOPPED" : "TIMEOUT");
          if (sent.reusedSocket && STALE.has(error.code)) return attempt();
          resolve(KIND.test(error.code ?? "") ? error.code : "ERROR");
        });
        sent.end(body);
      };
      attempt();
    });
  return { post, close: () => agent.destroy() };
}
