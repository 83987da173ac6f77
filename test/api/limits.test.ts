import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, type Settings } from "node:http2";
import { connect, type Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.js";
import { HealthState } from "../../src/rpc/grpc/health.ts";
import { type GrpcServerOptions, listenGrpc } from "../../src/rpc/grpc/server.ts";
import { selfSigned } from "../support/fakes/certificates.ts";

const CHECK = "/grpc.health.v1.Health/Check";
const WATCH = "/grpc.health.v1.Health/Watch";
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const REQUEST = Buffer.from(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema)));
/** An empty message in gRPC's framing. */
const FRAME = Buffer.alloc(5);
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** Drains end by themselves at 10 s; a test that waited for that would run into its time limit. */
const PROMPT = 5_000;

type Limits = Partial<Pick<GrpcServerOptions, "limits" | "tls" | "reflection">>;

/** A listener with health alone: all that a stranger may call. */
async function listener(options: Limits = {}) {
  const health = new HealthState([]);
  const server = await listenGrpc({
    services: [],
    health,
    gate: () => Promise.reject(new Error("nothing here has a gate")),
    host: "127.0.0.1",
    port: 0,
    reflection: false,
    onUnexpected: (thrown) => {
      throw thrown;
    },
    ...options,
  });
  onTestFinished(() => server.drain(0));
  /** As the service stops: whoever watches is told first. */
  const drain = (graceMs: number) => {
    health.end();
    return server.drain(graceMs);
  };
  return { port: server.port, drain };
}

/** A connection of its own, to the name in our certificates. */
const CHANNEL = { "grpc.use_local_subchannel_pool": 1, "grpc.ssl_target_name_override": "localhost" };

/** A client of health over a connection of its own. */
function healthClient(port: number, using: ChannelCredentials = credentials.createInsecure()) {
  const channel = new Client(`127.0.0.1:${port}`, using, CHANNEL);
  onTestFinished(() => channel.close());
  const bytes = (body: Buffer) => body;
  const decode = (body: Buffer) => fromBinary(HealthCheckResponseSchema, body).status;
  return {
    check: (metadata = new Metadata()) =>
      new Promise<Status | undefined>((resolve, reject) =>
        channel.makeUnaryRequest(CHECK, bytes, decode, REQUEST, metadata, (error: ServiceError | null, reply) =>
          error ? reject(error) : resolve(reply),
        ),
      ),
    async watch() {
      const stream = channel.makeServerStreamRequest(WATCH, bytes, decode, REQUEST);
      const seen: Status[] = [];
      stream.on("data", (reply: Status) => seen.push(reply));
      const ended = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
      await once(stream, "data");
      return { seen, ended };
    },
  };
}

/** A TCP connection that says nothing and keeps its half open when the server ends. */
async function silentSocket(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** A client that holds to HTTP/2 but not to gRPC's manners: it leaves its streams open. */
async function rudeClient(port: number, settings: Settings = {}): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`, { settings });
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  await once(session, "connect");
  return session;
}

/** A call without an end; `statuses` fills with what the server answers. */
function openCall(session: ClientHttp2Session, path: string, headers: Record<string, string> = {}) {
  const stream = session.request(
    { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers },
    { endStream: false },
  );
  const statuses: number[] = [];
  const note = (fields: Record<string, unknown>) => {
    if (fields["grpc-status"] !== undefined) statuses.push(Number(fields["grpc-status"]));
  };
  stream
    .on("response", note)
    .on("trailers", note)
    .on("error", () => {});
  stream.resume();
  return { stream, statuses };
}

const closed = (stream: ClientHttp2Stream) => (stream.destroyed ? Promise.resolve() : once(stream, "close"));

/** Resolves when the server has closed both directions: one that only ended its own would take what is written. */
async function dropped(socket: Socket) {
  let probe: NodeJS.Timeout | undefined;
  socket.resume().once("end", () => {
    probe = setInterval(() => socket.write("?"), 5);
  });
  // Not `once` of events, which takes the expected reset for a failure.
  await new Promise((resolve) => socket.once("close", resolve));
  clearInterval(probe);
}

/** The server has seen all that was sent on this connection. */
const roundTrip = (session: ClientHttp2Session) => new Promise((resolve) => session.ping(resolve));

describe("a drain ends in time", () => {
  test(
    "with a TCP connection that says nothing, without waiting for it",
    async () => {
      const server = await listener();
      await silentSocket(server.port);
      expect(await healthClient(server.port).check()).toBe(Status.SERVING);
      await server.drain(10_000);
    },
    PROMPT,
  );

  test(
    "with a TLS connection that never shakes hands, without waiting for it",
    async () => {
      const server = await listener({ tls: selfSigned() });
      await silentSocket(server.port);
      await server.drain(10_000);
    },
    PROMPT,
  );

  test.each([CHECK, WATCH])(
    "with an open call of %s without a body, whose client ignores all",
    async (path) => {
      const server = await listener();
      const session = await rudeClient(server.port);
      const { stream } = openCall(session, path);
      await roundTrip(session);
      await server.drain(200);
      await closed(stream);
    },
    PROMPT,
  );

  test(
    "with a watch of health, who hears of it",
    async () => {
      const server = await listener();
      const { seen, ended } = await healthClient(server.port).watch();
      await server.drain(10_000);
      expect((await ended).code).toBe(status.UNAVAILABLE);
      expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]);
    },
    PROMPT,
  );

  test(
    "with a stream that is answered and whose client leaves its half open, and with a watch, who hears of it",
    async () => {
      const server = await listener({ reflection: true });
      const session = await rudeClient(server.port);
      const { stream, statuses } = openCall(session, REFLECTION);
      await roundTrip(session);
      const { seen, ended } = await healthClient(server.port).watch();
      await server.drain(10_000);
      await closed(stream);
      expect(statuses).toEqual([status.UNAVAILABLE]);
      expect((await ended).code).toBe(status.UNAVAILABLE);
      expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]);
    },
    PROMPT,
  );

  test(
    "with a call that takes all of it, and a watch hears the status of the stop nevertheless",
    async () => {
      const server = await listener();
      const session = await rudeClient(server.port);
      const { stream } = openCall(session, CHECK);
      const watch = openCall(session, WATCH);
      watch.stream.end(FRAME);
      await once(watch.stream, "response");
      await server.drain(500);
      await Promise.all([closed(stream), closed(watch.stream)]);
      expect(watch.statuses).toEqual([status.UNAVAILABLE]);
    },
    PROMPT,
  );

  test(
    "and not before the answers that were on their way",
    async () => {
      const server = await listener();
      const client = healthClient(server.port);
      await client.check();
      const session = await rudeClient(server.port);
      const { stream, statuses } = openCall(session, CHECK);
      await roundTrip(session);
      const drained = server.drain(10_000);
      stream.end(FRAME);
      await drained;
      await closed(stream);
      expect(statuses).toEqual([status.OK]);
      await expect(client.check()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    },
    PROMPT,
  );
});

describe("calls of strangers", () => {
  test("metadata over the limit is refused, below it is not", async () => {
    const server = await listener();
    const { check } = healthClient(server.port);
    const metadata = new Metadata();
    metadata.set("x-large", "a".repeat(15 * 1024));
    expect(await check(metadata)).toBe(Status.SERVING);
    metadata.set("x-more", "a".repeat(2 * 1024));
    await expect(check(metadata)).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  test("many small headers count as what they cost", async () => {
    const server = await listener({ limits: { maxMetadataBytes: 2048 } });
    const metadata = new Metadata();
    for (let n = 0; n < 60; n++) metadata.set(`h${n}`, "");
    await expect(healthClient(server.port).check(metadata)).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  test.each([CHECK, WATCH])("a call of %s without a body is ended and its stream closed", async (path) => {
    const server = await listener({ limits: { arrivalMs: 50, lingerMs: 50 } });
    const { stream, statuses } = openCall(await rudeClient(server.port), path);
    await closed(stream);
    expect(statuses).toEqual([status.DEADLINE_EXCEEDED]);
  });

  test("a call whose own deadline has passed is closed too", async () => {
    const server = await listener({ limits: { arrivalMs: 50, lingerMs: 50 } });
    const { stream, statuses } = openCall(await rudeClient(server.port), CHECK, { "grpc-timeout": "1m" });
    await closed(stream);
    expect(statuses).toEqual([status.DEADLINE_EXCEEDED]);
  });

  test("a body that arrives without an end does not keep a unary call open", async () => {
    const server = await listener({ limits: { arrivalMs: 50, lingerMs: 50 } });
    const { stream, statuses } = openCall(await rudeClient(server.port), CHECK);
    stream.write(FRAME);
    await closed(stream);
    expect(statuses).toEqual([status.DEADLINE_EXCEEDED]);
  });

  test("an answer that its client does not take is dropped", async () => {
    const server = await listener({ limits: { arrivalMs: 50, maxUnaryMs: 50, lingerMs: 50 } });
    const { stream } = openCall(await rudeClient(server.port, { initialWindowSize: 0 }), CHECK);
    stream.end(FRAME);
    await closed(stream);
    expect(stream.rstCode).not.toBe(0);
  });

  test("a watch outlives the limit of arrival and ends at its own", async () => {
    const server = await listener({ limits: { arrivalMs: 50, maxStreamMs: 100 } });
    const { seen, ended } = await healthClient(server.port).watch();
    expect(await ended).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(seen).toEqual([Status.SERVING]);
  });

  test("a stream whose first message has come may leave its end open", async () => {
    const server = await listener({ limits: { arrivalMs: 50, lingerMs: 50 } });
    const session = await rudeClient(server.port);
    const watch = openCall(session, WATCH);
    watch.stream.write(FRAME);
    await roundTrip(session);
    await closed(openCall(session, WATCH).stream);
    expect(watch.statuses).toEqual([]);
  });

  test("an illegal header name reaches no log", async () => {
    const server = await listener();
    const written = [vi.spyOn(console, "error"), vi.spyOn(process.stderr, "write")];
    onTestFinished(() => void vi.restoreAllMocks());
    const { stream, statuses } = openCall(await rudeClient(server.port), CHECK, { "x!secret": "hunter2" });
    stream.end(FRAME);
    await closed(stream);
    expect(statuses).toEqual([status.OK]);
    expect(written.flatMap((spy) => spy.mock.calls)).toEqual([]);
  });
});

describe("sockets of strangers", () => {
  test("one over the limit is refused, the others are served, and a place that comes free is free", async () => {
    const server = await listener({ limits: { maxConnections: 2 } });
    const first = healthClient(server.port);
    expect(await first.check()).toBe(Status.SERVING);
    const second = await silentSocket(server.port);
    await dropped(await silentSocket(server.port));
    await expect(healthClient(server.port).check()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(await first.check()).toBe(Status.SERVING);
    second.destroy();
    await vi.waitFor(async () => expect(await healthClient(server.port).check()).toBe(Status.SERVING), 5_000);
  });

  test.each(["", "PRI * HT", PREFACE])("one that says only %j is closed", async (said) => {
    const server = await listener({ limits: { firstCallMs: 50 } });
    const socket = await silentSocket(server.port);
    socket.write(said);
    await dropped(socket);
  });

  test(
    "one that does not answer our goodbye is closed",
    async () => {
      const server = await listener({ limits: { lingerMs: 50 } });
      const socket = await silentSocket(server.port);
      const settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
      const goAway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
      socket.write(Buffer.concat([Buffer.from(PREFACE), Buffer.from(settings), Buffer.from(goAway)]));
      await dropped(socket);
    },
    PROMPT,
  );

  test("one that never shakes hands is closed", async () => {
    const server = await listener({ limits: { firstCallMs: 50 }, tls: selfSigned() });
    await dropped(await silentSocket(server.port));
  });

  test("one that made a call stays", async () => {
    const server = await listener({ limits: { firstCallMs: 50 } });
    const session = await rudeClient(server.port);
    const answer = async () => {
      const { stream, statuses } = openCall(session, CHECK);
      stream.end(FRAME);
      await closed(stream);
      return statuses;
    };
    expect(await answer()).toEqual([status.OK]);
    await dropped(await silentSocket(server.port));
    expect(await answer()).toEqual([status.OK]);
  });
});

describe("TLS", () => {
  test(
    "answers a client that trusts its certificate and drains like cleartext",
    async () => {
      const tls = selfSigned();
      const server = await listener({ tls, limits: { firstCallMs: 10_000 } });
      const client = healthClient(server.port, credentials.createSsl(tls.cert));
      expect(await client.check()).toBe(Status.SERVING);
      const { ended } = await client.watch();
      await server.drain(10_000);
      expect((await ended).code).toBe(status.UNAVAILABLE);
    },
    PROMPT,
  );

  test("a stranger's certificate and cleartext are no way in", async () => {
    const server = await listener({ tls: selfSigned() });
    const mistrustful = healthClient(server.port, credentials.createSsl(selfSigned().cert));
    await expect(mistrustful.check()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(healthClient(server.port).check()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  test("a closed connection gives its place back", async () => {
    const tls = selfSigned();
    const server = await listener({ tls, limits: { maxConnections: 1 } });
    for (let n = 0; n < 3; n++) {
      const channel = new Client(`127.0.0.1:${server.port}`, credentials.createSsl(tls.cert), CHANNEL);
      await new Promise<void>((resolve, reject) =>
        channel.waitForReady(Date.now() + 4_000, (error) => (error ? reject(error) : resolve())),
      );
      channel.close();
    }
  });
});
