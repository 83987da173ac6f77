import { createServer, type IncomingHttpHeaders } from "node:http";
import { text } from "node:stream/consumers";
import { portOf } from "../engine/port.ts";

/** A request as it arrived. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What a peer answers. */
export interface Answer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Record<string, string>;
}

/** An HTTP server on loopback that keeps what it receives and answers in turn; 200 when nothing is left to say. */
export async function httpPeer(answer: (request: Received) => Answer | undefined = () => undefined) {
  const received: Received[] = [];
  let seen = () => {};
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const { method = "", url = "", headers } = request;
    const arrived = { method, url, headers, body };
    received.push(arrived);
    const { status, body: reply = "", headers: more } = answer(arrived) ?? { status: 200 };
    response.writeHead(status, more).end(reply);
    seen();
  });
  const port = await portOf(server);
  return {
    received,
    url: `http://127.0.0.1:${port}`,
    /** Waits until so many requests are there, and answers the last of them. */
    request: (count = 1) =>
      new Promise<Received>((resolve) => {
        seen = () => {
          const request = received[count - 1];
          if (request) resolve(request);
        };
        seen();
      }),
  };
}
