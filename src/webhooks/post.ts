import { Agent, request } from "node:https";
import { rootCertificates } from "node:tls";
import type { DeliveryRequest } from "./delivery-request.ts";
import type { Destinations } from "./destination.ts";

/** What came of a delivery: undefined when it was taken, else a kind of failure, never what the peer said. */
export type Failure = string | undefined;

/** Posts deliveries. */
export type Post = (url: string, delivery: DeliveryRequest, signal: AbortSignal) => Promise<Failure>;

const LIMIT_MS = 10_000;
const KIND = /^[A-Z][A-Z0-9_]{0,39}$/;

/** What posting needs of the process. */
export interface PostOptions {
  readonly destinations: Destinations;
  /** CAs besides the public ones, PEM. */
  readonly ca?: string | undefined;
  /** How long a receiver may take to answer. */
  readonly limitMs?: number;
}

/**
 * Posts by HTTPS, to addresses that are admitted at the moment of connecting. Redirects are not followed: they would
 * lead past that. What the receiver answers besides its status is not read. How many posts there are at once is the
 * caller's to limit: a limit of each host would have endpoints of one host wait for each other.
 */
export function createPost({ destinations, ca: own, limitMs = LIMIT_MS }: PostOptions): { post: Post; close(): void } {
  const { lookup } = destinations;
  // Given CAs replace the usual ones.
  const ca = own === undefined ? undefined : [...rootCertificates, own];
  const agent = new Agent({ timeout: limitMs, lookup, ca });
  const post: Post = (text, { headers, body }, signal) =>
    new Promise((resolve) => {
      const url = new URL(text);
      // An address needs no look-up and would not be judged.
      if (!destinations.admitsLiteral(url)) return resolve("PRIVATE_ADDRESS");
      const end = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
      const length = { "content-length": String(Buffer.byteLength(body)) };
      const sent = request(
        url,
        { method: "POST", agent, signal: end, headers: { ...headers, ...length } },
        (response) => {
          const { statusCode: status = 0 } = response;
          response.destroy();
          resolve(status >= 200 && status < 300 ? undefined : `HTTP_${status}`);
        },
      );
      sent.on("error", (error: NodeJS.ErrnoException) => {
        if (end.aborted) return resolve(signal.aborted ? "STOPPED" : "TIMEOUT");
        resolve(KIND.test(error.code ?? "") ? error.code : "ERROR");
      });
      sent.end(body);
    });
  return { post, close: () => agent.destroy() };
}
