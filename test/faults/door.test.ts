import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { DescMethod } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";
import { start } from "../interop/process.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { grpcClient } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { isFull } from "../support/engine/races.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const BODIES = isFull ? 100_000 : 1_000;
const BODIES_PER_USER = 50;
const IN_FLIGHT = 32;
const MIB = 1024 * 1024;
const VERIFY = "/mfa.v1.MfaService/VerifyTotpCode";

/** Every run of the long rounds looks elsewhere; MFA_SEED repeats one. */
const seed = Number(process.env.MFA_SEED ?? (isFull ? Date.now() % 2 ** 31 : 20_260_301));

/** Mulberry32: an integer from 0 up to `below`. */
function seeded(start: number) {
  let state = start;
  return (below: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
type Random = ReturnType<typeof seeded>;

const bytes = (random: Random, below: number) => Buffer.from(Array.from({ length: random(below) }, () => random(256)));

const pick = <T>(random: Random, among: readonly T[]): T => among[random(among.length)] as T;

/** Something that looks like a message: fields of the method's own numbers, with contents of any kind. */
function randomMessage(random: Random, { input }: DescMethod): Buffer {
  const fields = Array.from({ length: 1 + random(4) }, () => {
    const number = input.fields.length && random(8) ? pick(random, input.fields).number : 1 + random(15);
    const wireType = pick(random, [0, 1, 2, 2, 2, 2, 5]);
    const tag = [((number << 3) | wireType) & 0x7f, number >> 4].map((byte, n) =>
      n === 0 && number > 15 ? byte | 128 : byte,
    );
    const head = Buffer.from(number > 15 ? tag : tag.slice(0, 1));
    if (wireType === 0) return Buffer.concat([head, Buffer.from([random(128)])]);
    if (wireType === 1) return Buffer.concat([head, Buffer.alloc(8, random(256))]);
    if (wireType === 5) return Buffer.concat([head, Buffer.alloc(4, random(256))]);
    const content = random(2) ? Buffer.from(String(random(1_000_000)).padStart(6, "0")) : bytes(random, 60);
    return Buffer.concat([head, Buffer.from([content.length]), content]);
  });
  return Buffer.concat(fields);
}

function randomValue(random: Random, depth = 3): unknown {
  const inner = () => randomValue(random, depth - 1);
  const leaves = [
    null,
    true,
    random(1e9),
    -random(10) / 7,
    "",
    String(random(1e6)),
    "\ud800",
    bytes(random, 30).toString(),
  ];
  if (depth === 0 || random(3)) return pick(random, leaves);
  const several = Array.from({ length: random(4) }, inner);
  return random(2) ? several : Object.fromEntries(several.map((value, n) => [`k${n}`, value]));
}

function randomJson(random: Random, { input }: DescMethod): Buffer {
  const names = [...input.fields.map(({ jsonName }) => jsonName), "__proto__", "@type", "toString"];
  const members = Array.from({ length: random(4) }, () => [pick(random, names), randomValue(random)] as const);
  const text = JSON.stringify(random(8) ? Object.fromEntries(members) : randomValue(random));
  // A character that does not belong there, in a quarter of them.
  if (random(4)) return Buffer.from(text);
  const at = random(text.length + 1);
  return Buffer.concat([Buffer.from(text.slice(0, at)), bytes(random, 3), Buffer.from(text.slice(at + random(2)))]);
}

function envelope(body: Buffer, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** One call over HTTP/2 as gRPC frames it, by hand: any bytes, any headers. The status; a reset counts as its name. */
function callGrpc(session: ClientHttp2Session, path: string, headers: Record<string, string>, body: Buffer) {
  return new Promise<string>((resolve) => {
    const fixed = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream = session.request({ ...fixed, ...headers });
    let ended: unknown;
    stream.on("response", (response) => {
      ended ??= response["grpc-status"];
    });
    stream.on("trailers", (trailers) => {
      ended ??= trailers["grpc-status"];
    });
    stream.on("error", () => {});
    stream.on("close", () => resolve(ended === undefined ? `reset ${stream.rstCode}` : (status[Number(ended)] ?? "?")));
    stream.resume();
    stream.end(body);
  });
}

function openGrpc(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`, { maxSendHeaderBlockLength: MIB });
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  return session;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function post(port: number, path: string, headers: Record<string, string>, body: Buffer, agent?: Agent) {
  return new Promise<Answer>((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method: "POST", headers, ...(agent && { agent }) }, (got) => {
      let text = "";
      got.setEncoding("utf8");
      got.on("data", (chunk) => {
        text += chunk;
      });
      got.on("end", () => resolve({ status: got.statusCode ?? 0, headers: got.headers, body: text }));
      got.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** The name of the status, whichever way the answer carries it. */
function statusOf({ status: http, headers, body }: Answer): string {
  const trailer = headers["grpc-status"] ?? /grpc-status: (\d+)/.exec(body)?.[1];
  if (trailer !== undefined) return status[Number(trailer)] ?? "?";
  if (http === 200) return "OK";
  const code = /^\{"code":"([a-z_]+)"/.exec(body)?.[1];
  return code?.toUpperCase() ?? `HTTP ${http}`;
}

type Send = (path: string, token: string, body: Buffer) => Promise<string>;

const overGateway = (contentType: string) => (service: ServiceUnderTest) => {
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  onTestFinished(() => agent.destroy());
  const send: Send = async (path, token, body) => {
    const headers = { "content-type": contentType, authorization: `Bearer ${token}` };
    return statusOf(await post(service.gatewayPort, path, headers, body, agent));
  };
  return send;
};

const overGrpc = (service: ServiceUnderTest) => {
  const session = openGrpc(service.port);
  const send: Send = (path, token, body) => callGrpc(session, path, { authorization: `Bearer ${token}` }, body);
  return send;
};

type Body = (random: Random, method: DescMethod) => Buffer;

const unframed: Body = (random, method) => (random(2) ? bytes(random, 60) : randomMessage(random, method));
/** Mostly well framed, so that what is inside gets somewhere. */
const framed: Body = (random, method) => {
  const body = unframed(random, method);
  return random(8) ? envelope(body) : body;
};
const json: Body = (random, method) => (random(8) ? randomJson(random, method) : bytes(random, 60));

const protocols: [string, (service: ServiceUnderTest) => Send, Body][] = [
  ["gRPC", overGrpc, framed],
  ["gRPC-Web", overGateway("application/grpc-web+proto"), framed],
  ["Connect", overGateway("application/proto"), unframed],
  ["Connect in JSON", overGateway("application/json"), json],
];

test.each(protocols)(
  "random bodies over %s never end in INTERNAL, and the service goes on",
  async (_, open, bodyOf) => {
    const service = await serviceForTest(sqlite);
    const app = await enrollApp(service, "ann");
    const send = open(service);
    const random = seeded(seed);
    const methods = MfaService.methods.filter(({ methodKind }) => methodKind === "unary");
    const tally: Record<string, number> = {};
    const broken: string[] = [];
    let left = BODIES;
    let token = "";
    const work = async () => {
      while (left > 0) {
        left -= 1;
        if (left % BODIES_PER_USER === 0 || !token) token = await service.user(`user-${left}`, "aal2");
        // Half of them to what is built for certain.
        const method = random(2) ? MfaService.method.verifyTotpCode : pick(random, methods);
        const body = bodyOf(random, method);
        const ended = await send(`/${MfaService.typeName}/${method.name}`, token, body);
        tally[ended] = (tally[ended] ?? 0) + 1;
        if (/^(INTERNAL|UNKNOWN|DATA_LOSS|UNAVAILABLE|reset|HTTP 5|\?)/.test(ended)) {
          broken.push(`${ended} ${method.name} ${body.toString("hex")}`);
        }
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, work));
    expect(broken, `MFA_SEED=${seed} ${JSON.stringify(tally)}`).toEqual([]);
    // They got as far as decoding, and some past it.
    expect(tally.INVALID_ARGUMENT, JSON.stringify(tally)).toBeGreaterThan(BODIES / 20);
    expect(service.log.filter((line) => line.includes("unexpected error"))).toEqual([]);
    const { deviceId } = await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
    expect(deviceId).toBe(app.deviceId);
  },
  isFull ? 900_000 : 60_000,
);

/** The service as a process of its own, so that its memory is only its own. */
async function startProcess() {
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-door-"));
  const { child, outcome, saw } = start(process.execPath, ["src/main.ts", "--dev"], {
    MFA_PORT: "0",
    MFA_GATEWAY_PORT: "0",
    MFA_ADMIN_PORT: "0",
    MFA_INTERNAL_PORT: "0",
    MFA_HOST: "127.0.0.1",
    MFA_DATA_DIR: dataDir,
    MFA_DATABASE_URL: "",
    MFA_KEY_FILE: "",
    MFA_CONFIG: "",
  });
  const [, grpc, gateway] = await saw(/:(\d+) \(grpc\).*:(\d+) \(gateway\)/);
  let users = 0;
  /** A user nobody has counted calls of. */
  const newUser = async () => {
    users += 1;
    return `Bearer ${await mintDevToken(dataDir, { audience: "mfa", subject: `user-${users}`, acr: "aal1" })}`;
  };
  const { rpcs, close } = grpcClient(MfaService, Number(grpc));
  const memory = (line: "VmRSS" | "VmHWM") => {
    const table = readFileSync(`/proc/${child.pid}/status`, "utf8");
    return (Number(new RegExp(`${line}:\\s+(\\d+) kB`).exec(table)?.[1]) * 1024) / MIB;
  };
  return {
    port: Number(grpc),
    gatewayPort: Number(gateway),
    newUser,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    answers: async () => {
      const authorization = await newUser();
      await rpcs.listTotpDevices({}, authorization.slice("Bearer ".length));
      const headers = { "content-type": "application/json", authorization };
      const answer = await post(Number(gateway), "/mfa.v1.MfaService/ListTotpDevices", headers, Buffer.from("{}"));
      expect(answer.status).toBe(200);
    },
    /** The most memory that `work` made it hold beyond what it held before, in MiB. */
    growth: async (work: () => Promise<void>) => {
      // From here on the kernel's high-water mark is that of the work.
      writeFileSync(`/proc/${child.pid}/clear_refs`, "5");
      const before = memory("VmRSS");
      await work();
      return memory("VmHWM") - before;
    },
    stop: async () => {
      close();
      child.kill("SIGTERM");
      await outcome;
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

describe("against strangers", () => {
  const SLOW = 20;
  const SLOW_MS = 60_000;
  let service: Awaited<ReturnType<typeof startProcess>>;
  let slow: { readonly sockets: Socket[]; readonly closed: Promise<unknown>; readonly openedAt: number };

  /** Begins a call and goes on with a byte now and then, for ever. */
  function dribble(port: number, begun: readonly string[]): Socket {
    const socket = connectSocket(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write([`POST ${VERIFY} HTTP/1.1`, "host: 127.0.0.1", ...begun].join("\r\n"));
    const timer = setInterval(() => socket.write("a"), 500);
    socket.once("close", () => clearInterval(timer));
    return socket.resume();
  }

  beforeAll(async () => {
    service = await startProcess();
    // In the headers, and in the body of a call that was let in.
    const body = ["content-type: application/json", "content-length: 1000", "", "{"];
    const inBody = [`authorization: ${await service.newUser()}`, ...body];
    const sockets = Array.from({ length: SLOW + 5 }, (_, n) =>
      dribble(service.gatewayPort, n < SLOW ? ["x-slow: "] : inBody),
    );
    const closed = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("close", resolve))));
    slow = { sockets, closed, openedAt: performance.now() };
  });
  afterAll(async () => {
    for (const socket of slow?.sockets ?? []) socket.destroy();
    await service?.stop();
  });

  test("gzip bombs are refused and cost little memory", async () => {
    const member = gzipSync(Buffer.alloc(4 * MIB));
    // A gzip stream may have many members: 400 MB in 400 KB, and what fits below the limit of 64 KiB.
    const large = Buffer.concat(Array.from({ length: 100 }, () => member));
    const fitting = Buffer.concat(Array.from({ length: Math.floor(65_000 / member.length) }, () => member));
    const session = openGrpc(service.port);
    const send = async (bomb: Buffer) => {
      const headers = { authorization: await service.newUser(), "grpc-encoding": "gzip" };
      return callGrpc(session, VERIFY, headers, envelope(bomb, 1));
    };
    // Whatever the first calls compile is not the bombs' doing.
    for (let n = 0; n < 100; n += 1) await service.answers();

    const answers = new Set<string>();
    const one = await service.growth(async () => {
      for (const bomb of [large, fitting]) expect(await send(bomb)).toBe("UNIMPLEMENTED");
    });
    const many = await service.growth(async () => {
      const bombs = Array.from({ length: 100 }, (_, n) => send(n % 2 ? large : fitting));
      for (const answer of await Promise.all(bombs)) answers.add(answer);
    });
    // The connection's own memory is limited too: what it has no room for is reset (ENHANCE_YOUR_CALM).
    for (const answer of answers) expect(["UNIMPLEMENTED", "reset 11"]).toContain(answer);
    const browsed = await service.growth(async () => {
      const type = { "content-type": "application/proto", "content-encoding": "gzip" };
      const headers = { ...type, authorization: await service.newUser() };
      const answer = await post(service.gatewayPort, VERIFY, headers, fitting);
      expect(statusOf(answer)).toMatch(/^(INVALID_ARGUMENT|UNIMPLEMENTED|RESOURCE_EXHAUSTED)$/);
    });
    expect(browsed).toBeLessThan(8);
    process.stdout.write(`gzip bombs: one costs ${one.toFixed(1)} MiB, 100 at once ${many.toFixed(1)} MiB\n`);
    expect(one).toBeLessThan(8);
    expect(many).toBeLessThan(8);
    await service.answers();
  });

  test.each([
    ["one of 100 KB", { "x-large": "a".repeat(100_000) }],
    ["100 of 1 KB", Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`x-large-${n}`, "a".repeat(1_000)]))],
  ])("headers too large are refused: %s", async (_, large) => {
    const headers = { ...large, authorization: await service.newUser() };
    const overGrpc = await callGrpc(openGrpc(service.port), VERIFY, headers, envelope(Buffer.alloc(0)));
    expect(overGrpc).toMatch(/^(RESOURCE_EXHAUSTED|reset \d+)$/);
    const withType = { ...headers, "content-type": "application/json" };
    const answer = await post(service.gatewayPort, VERIFY, withType, Buffer.from("{}")).catch(() => ({ status: 431 }));
    expect(answer.status).toBe(431);
    await service.answers();
  });

  test(
    "clients that dribble are closed, and others answered meanwhile",
    async () => {
      let open = true;
      void slow.closed.then(() => {
        open = false;
      });
      while (open) {
        await service.answers();
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      const seconds = (performance.now() - slow.openedAt) / 1000;
      process.stdout.write(`slow clients: the last one closed after ${seconds.toFixed(1)} s\n`);
      await service.answers();
      expect(service.isAlive()).toBe(true);
    },
    SLOW_MS,
  );
});
