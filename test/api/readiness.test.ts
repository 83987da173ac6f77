import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { engines } from "../support/engines.ts";
import { serviceForTest } from "../support/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

test("/readyz turns from 200 to 503 as soon as the service is told to stop, and /livez does not", async () => {
  const service = await serviceForTest(sqlite);
  /** A connection whose next request is under way already: no drain takes it for idle. */
  const halfway = async (path: string) => {
    const socket = connect(service.adminPort, "127.0.0.1").setEncoding("utf8");
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => {});
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\nGET ${path} HTTP/1.1\r\n`);
    const [first] = await once(socket, "data");
    return { socket, first: String(first) };
  };
  const probes = await Promise.all(["/readyz", "/livez"].map(halfway));
  expect(probes.map(({ first }) => first.slice(0, 12))).toEqual(["HTTP/1.1 200", "HTTP/1.1 200"]);
  const stopped = service.server.stop();
  const answers = await Promise.all(
    probes.map(async ({ socket }) => {
      socket.write("host: x\r\nconnection: close\r\n\r\n");
      const [second] = await once(socket, "data");
      return String(second).slice(0, 12);
    }),
  );
  expect(answers).toEqual(["HTTP/1.1 503", "HTTP/1.1 200"]);
  await stopped;
});
