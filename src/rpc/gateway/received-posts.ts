import type { IncomingMessage, ServerResponse } from "node:http";

/** What somebody else's server posts to us: a signed report of a few hundred bytes. */
export interface ReceivedPost {
  readonly query: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Takes a post by its path, and returns the HTTP status that answers it. */
export type Receivers = ReadonlyMap<string, (post: ReceivedPost) => Promise<number>>;

const MOST_BYTES = 16 * 1024;

/** Reads the body of a request; undefined where it is longer than a report may be. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MOST_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Answers a post by what takes it: with its status, 413 where it is too long, 503 where it cannot be kept. */
export async function receivePost(
  request: IncomingMessage,
  response: ServerResponse,
  take: (post: ReceivedPost) => Promise<number>,
): Promise<void> {
  const body = await bodyOf(request);
  const query = request.url?.split("?").slice(1).join("?") ?? "";
  const status = body === undefined ? 413 : await take({ query, headers: request.headers, body }).catch(() => 503);
  response.writeHead(status, { "cache-control": "no-store" }).end();
}
