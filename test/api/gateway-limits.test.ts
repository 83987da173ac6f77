import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { listenGateway } from "../../src/rpc/gateway/gateway.ts";
import type { LimitName, ListenerLimits } from "../../src/rpc/limits/listener-limits.ts";
import { selfSigned } from "../support/fakes/certificates.ts";

/** Those of the test are hours; a limit that did not hold runs into the test's own. */
const LONG = 3_600_000;
const PROMPT = 5_000;
const PATH = "/mfa.v1.MfaService/ListTotpDevices";
const HEAD = ["content-type: application/json", "content-length: 100", "", ""];

/** A gateway whose one RPC never answers, in clear or over TLS. */
async function gateway(secure: boolean, limits: Partial<ListenerLimits>) {
  const hits: LimitName[] = [];
  const long = { firstCallMs: LONG, arrivalMs: LONG, lingerMs: LONG, maxUnaryMs: LONG, maxStreamMs: LONG };
  const listener = await listenGateway({
    services: [{ service: MfaService, implementation: { listTotpDevices: () => new Promise(() => {}) } as never }],
    gate: async () => {},
    host: "127.0.0.1",
    port: 0,
    origins: [],
    onUnexpected: () => {},
    limits: { ...long, ...limits },
    onLimit: (limit) => hits.push(limit),
    tls: secure ? selfSigned() : undefined,
  });
  onTestFinished(() => listener.drain(0));
  const open = async (): Promise<Socket> => {
    const where = { host: "127.0.0.1", port: listener.port };
    const socket = secure
      ? connectTls({ ...where, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] })
      : connect(where);
    socket.on("error", () => {});
    onTestFinished(() => void socket.destroy());
    await once(socket, secure ? "secureConnect" : "connect");
    return socket;
  };
  return { listener, hits, open };
}

const closed = (socket: Socket) => new Promise((resolve) => socket.resume().once("close", resolve));

/** Writes a byte now and then, as long as it can. */
function dribble(socket: Socket, first: string) {
  socket.write(first);
  const timer = setInterval(() => socket.write("a"), 20);
  socket.once("close", () => clearInterval(timer));
}

describe.each([
  ["in clear", false],
  ["over TLS", true],
])("the gateway %s closes", (_, secure) => {
  test(
    "a socket on which nothing is said",
    async () => {
      const { open, hits } = await gateway(secure, { firstCallMs: 200 });
      await closed(await open());
      expect(hits).toEqual(["first_call"]);
    },
    PROMPT,
  );

  test(
    "a socket whose headers never end",
    async () => {
      const { open } = await gateway(secure, { firstCallMs: 200 });
      const socket = await open();
      dribble(socket, `POST ${PATH} HTTP/1.1\r\nhost: x\r\nx-slow: `);
      await closed(socket);
    },
    PROMPT,
  );

  test(
    "a second request on a socket whose headers never end",
    async () => {
      const { open } = await gateway(secure, { firstCallMs: 200 });
      const socket = await open();
      socket.write("GET /none HTTP/1.1\r\nhost: x\r\n\r\n");
      await once(socket, "data");
      dribble(socket, `POST ${PATH} HTTP/1.1\r\nhost: x\r\nx-slow: `);
      await closed(socket);
    },
    PROMPT,
  );

  test(
    "a call whose body never ends",
    async () => {
      const { open, hits } = await gateway(secure, { arrivalMs: 200 });
      const socket = await open();
      dribble(socket, `POST ${PATH} HTTP/1.1\r\nhost: x\r\n${HEAD.join("\r\n")}`);
      await closed(socket);
      expect(hits).toEqual(["arrival"]);
    },
    PROMPT,
  );

  test(
    "a call that is not answered",
    async () => {
      const { open, hits } = await gateway(secure, { maxUnaryMs: 200 });
      const socket = await open();
      socket.write(`POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`);
      await closed(socket);
      expect(hits).toEqual(["unary"]);
    },
    PROMPT,
  );

  test(
    "a socket more than there may be",
    async () => {
      const { open, hits, listener } = await gateway(secure, { maxConnections: 1 });
      const first = await open();
      const second = connect({ host: "127.0.0.1", port: listener.port });
      second.on("error", () => {});
      await closed(second);
      expect(hits).toEqual(["connections"]);
      expect(listener.sockets()).toBe(1);
      expect(first.destroyed).toBe(false);
    },
    PROMPT,
  );
});

describe("the gateway over HTTP/2 closes", () => {
  const start = async (limits: Partial<ListenerLimits>) => {
    const { listener, hits } = await gateway(true, limits);
    const session = connectHttp2(`https://127.0.0.1:${listener.port}`, { rejectUnauthorized: false });
    session.on("error", () => {});
    onTestFinished(() => session.destroy());
    await once(session, "connect");
    const request = (end: boolean) => {
      const stream = session.request(
        { ":method": "POST", ":path": PATH, "content-type": "application/json" },
        { endStream: false },
      );
      stream.on("error", () => {});
      if (end) stream.end("{}");
      return stream.resume();
    };
    return { session, request, hits };
  };

  test(
    "a TLS connection that never shakes hands",
    async () => {
      const { listener } = await gateway(true, { firstCallMs: 200 });
      const socket = connect({ host: "127.0.0.1", port: listener.port });
      socket.on("error", () => {});
      await closed(socket);
    },
    PROMPT,
  );

  test(
    "a session without a request",
    async () => {
      const { session } = await start({ firstCallMs: 200 });
      await new Promise((resolve) => session.once("close", resolve));
    },
    PROMPT,
  );

  test(
    "a call without a body, and the session goes on",
    async () => {
      const { session, request, hits } = await start({ arrivalMs: 200 });
      const stream = request(false);
      await once(stream, "close");
      expect(hits).toEqual(["arrival"]);
      expect(session.destroyed).toBe(false);
    },
    PROMPT,
  );

  test(
    "a call whose body never ends",
    async () => {
      const { request } = await start({ arrivalMs: 200 });
      const stream = request(false);
      const timer = setInterval(() => stream.write("a"), 20);
      await once(stream, "close");
      clearInterval(timer);
    },
    PROMPT,
  );

  test(
    "a call that is not answered",
    async () => {
      const { request, hits } = await start({ maxUnaryMs: 200 });
      await once(request(true), "close");
      expect(hits).toEqual(["unary"]);
    },
    PROMPT,
  );
});
