import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflectionRequestSchema } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import type { TrustedProxies } from "../../src/rpc/access/client-address.ts";
import { HealthState } from "../../src/rpc/grpc/health.ts";
import { listenGrpc } from "../../src/rpc/grpc/server.ts";
import type { LimitName, ListenerLimits } from "../../src/rpc/limits/listener-limits.ts";
import { times } from "../support/engine/races.ts";

const WATCH = "/grpc.health.v1.Health/Watch";
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

function envelope(body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}
const serviceNamed = (service: string) =>
  envelope(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service })));
const LIST_SERVICES = envelope(
  toBinary(
    ServerReflectionRequestSchema,
    create(ServerReflectionRequestSchema, { messageRequest: { case: "listServices", value: "" } }),
  ),
);

/** A listener with health and reflection alone, and a connection to it. */
async function start(limits: Partial<ListenerLimits>, proxies?: TrustedProxies) {
  const hits: LimitName[] = [];
  const health = new HealthState(["mfa.v1.MfaService"]);
  const server = await listenGrpc({
    services: [],
    ...{ health, limits, proxies, behindProxy: proxies !== undefined },
    gate: () => Promise.reject(new Error("nothing here has a gate")),
    host: "127.0.0.1",
    port: 0,
    reflection: true,
    onUnexpected: (thrown) => {
      throw thrown;
    },
    onLimit: (limit) => hits.push(limit),
  });
  onTestFinished(() => server.drain(0));
  const connection = async () => {
    const session = connect(`http://127.0.0.1:${server.port}`);
    session.on("error", () => {});
    onTestFinished(() => session.destroy());
    await once(session, "connect");
    return session;
  };
  return { health, hits, connection, drain: server.drain };
}

/** A stream whose first answer has come: a message, or the status that it was refused with. */
async function open(session: ClientHttp2Session, path: string, body: Buffer, headers: Record<string, string> = {}) {
  const fixed = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request({ ...fixed, ...headers }, { endStream: false });
  const seen: Status[] = [];
  let ended: number | undefined;
  const note = (fields: Record<string, unknown>) => {
    if (fields["grpc-status"] !== undefined) ended = Number(fields["grpc-status"]);
  };
  stream.on("error", () => {});
  stream.on("response", note);
  stream.on("trailers", note);
  const first = new Promise((resolve) => stream.once("data", resolve).once("end", resolve).once("close", resolve));
  if (path === WATCH) {
    stream.on("data", (chunk: Buffer) => seen.push(fromBinary(HealthCheckResponseSchema, chunk.subarray(5)).status));
  }
  stream.write(body);
  await first;
  return { stream, seen, status: () => ended };
}

describe.each([
  ["health", WATCH, serviceNamed("")],
  ["reflection", REFLECTION, LIST_SERVICES],
])("streams of %s, which strangers open", (_, path, body) => {
  test("are refused with the time to come again beyond so many of a source, and a place that comes free is free", async () => {
    const { hits, connection } = await start({ maxAnonymousStreamsPerSource: 3 });
    // Over as many connections as one likes.
    const sessions = [await connection(), await connection()] as const;
    const streams = [];
    for (const n of times(5, (index) => index)) streams.push(await open(sessions[n % 2 ? 1 : 0], path, body));
    const refused = [status.RESOURCE_EXHAUSTED, status.RESOURCE_EXHAUSTED];
    expect(streams.map((stream) => stream.status())).toEqual([undefined, undefined, undefined, ...refused]);
    expect(hits).toEqual(["anonymous_streams", "anonymous_streams"]);
    streams[0]?.stream.close();
    await expect.poll(async () => (await open(sessions[1], path, body)).status()).toBeUndefined();
  });

  test("are bounded in all, and behind a proxy for each source that it names", async () => {
    const proxies = { addresses: ["127.0.0.1"], header: "x-forwarded-for" } as const;
    const { connection } = await start({ maxAnonymousStreamsPerSource: 2, maxAnonymousStreams: 5 }, proxies);
    const session = await connection();
    const from = async (ip: string) =>
      (await open(session, path, body, ip ? { "x-forwarded-for": ip } : {})).status() === undefined;
    expect([await from("192.0.2.1"), await from("192.0.2.1"), await from("192.0.2.1")]).toEqual([true, true, false]);
    // Those of whom the proxy says nothing share its address, and only the bound of all.
    expect([await from(""), await from(""), await from("")]).toEqual([true, true, true]);
    expect([await from(""), await from("192.0.2.2")]).toEqual([false, false]);
  });
});

describe("watches of health", () => {
  test("are told each change, of what is not served that it is unknown, and a stop ends them with UNAVAILABLE", async () => {
    const { health, connection, drain } = await start({});
    const session = await connection();
    const known = await open(session, WATCH, serviceNamed("mfa.v1.MfaService"));
    const unknown = await open(session, WATCH, serviceNamed("nobody"));
    const one = await open(session, WATCH, Buffer.concat([serviceNamed(""), serviceNamed("again")]));
    health.setAll(Status.NOT_SERVING);
    health.setAll(Status.SERVING);
    await expect.poll(() => known.seen.length).toBe(3);
    health.end();
    await drain(1_000);
    expect(known.seen).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]);
    expect(unknown.seen).toEqual([Status.SERVICE_UNKNOWN]);
    expect([known, unknown, one].map((watch) => watch.status())).toEqual(times(3, () => status.UNAVAILABLE));
  });

  test.each([
    ["no message", Buffer.alloc(0), status.INVALID_ARGUMENT],
    ["bytes that are no message", envelope(Buffer.from([0x0a, 0xff])), status.INVALID_ARGUMENT],
    ["a compressed one", Buffer.from([1, 0, 0, 0, 0]), status.UNIMPLEMENTED],
    ["one that says it is larger than any", Buffer.from([0, 255, 0, 0, 0]), status.RESOURCE_EXHAUSTED],
  ])("refuse %s", async (_, body, code) => {
    const { connection } = await start({});
    const session = await connection();
    const { stream, status: ended } = await (async () => {
      const opened = open(session, WATCH, body);
      if (body.length === 0) {
        const fixed = { ":method": "POST", ":path": WATCH, "content-type": "application/grpc", te: "trailers" };
        const empty = session.request(fixed, { endStream: true });
        let found: number | undefined;
        empty.on("response", (fields) => {
          found = Number(fields["grpc-status"]);
        });
        empty.resume();
        await once(empty, "close");
        void opened.catch(() => {});
        return { stream: empty, status: () => found };
      }
      return opened;
    })();
    await (stream.closed ? undefined : new Promise((resolve) => stream.once("end", resolve).once("close", resolve)));
    expect(ended()).toBe(code);
  });
});
