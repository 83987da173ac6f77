import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { portOf } from "../engine/port.ts";
import { authority } from "./certificates.ts";
import type { Received } from "./http-peer.ts";

/** An HTTPS server at localhost that keeps what it is sent, and answers with a status, and a header where asked. */
export async function webhookReceiver(answer: (request: Received) => number | Promise<number> = () => 204) {
  const { ca, issue } = authority();
  const folder = await mkdtemp(join(tmpdir(), "mfa-receiver-"));
  const caFile = join(folder, "ca.crt");
  writeFileSync(caFile, ca);
  const received: Received[] = [];
  let seen = () => {};
  const server = createServer(issue({ usage: "serverAuth" }), async (request, response) => {
    const body = await text(request);
    const { method = "", url = "", headers } = request;
    const arrived = { method, url, headers, body };
    received.push(arrived);
    const status = await answer(arrived);
    response.writeHead(status, status === 302 ? { location: "/elsewhere" } : {}).end();
    seen();
  });
  let connections = 0;
  server.on("secureConnection", () => {
    connections += 1;
  });
  const port = await portOf(server);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return {
    received,
    /** How many connections were made to it. */
    connections: () => connections,
    /** Ends the connections on which nothing is under way, as servers do after a while. */
    closeIdle: () => server.closeIdleConnections(),
    url: `https://localhost:${port}/events`,
    /** How a service is told of it. */
    settings: { networks: ["127.0.0.0/8", "::1/128"], caFile },
    /** Waits until so many requests have come. */
    requests: (count: number) =>
      new Promise<readonly Received[]>((resolve) => {
        seen = () => {
          if (received.length >= count) resolve(received.slice(0, count));
        };
        seen();
      }),
  };
}
