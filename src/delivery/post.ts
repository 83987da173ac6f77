import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** A request with a small response. */
export interface Posted {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
  /** The CA of the server's certificate, PEM, where it is not a public one. */
  readonly ca?: string | undefined;
}

const LONGEST_ANSWER = 16 * 1024;

/**
 * Posts by HTTP/1.1 with a given CA, which `fetch` cannot. Follows no redirect. Returns status, body and `Retry-After`.
 */
export const post = ({
  url,
  headers,
  body,
  signal,
  ca,
}: Posted): Promise<{ status: number; body: string; retryAfter: string | undefined }> =>
  new Promise((resolve, reject) => {
    const request = url.startsWith("https:") ? httpsRequest : httpRequest;
    const outgoing = request(url, {
      method: "POST",
      headers: { ...headers, "content-length": body.length },
      signal,
      agent: false,
      ...(ca && { ca }),
    });
    outgoing.on("error", reject);
    outgoing.on("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length <= LONGEST_ANSWER) chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, body: Buffer.concat(chunks).toString(), retryAfter: headers["retry-after"] });
      });
    });
    outgoing.end(body);
  });
