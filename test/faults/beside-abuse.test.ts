import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";
import { start } from "../interop/process.ts";
import { grpcClient } from "../support/actors/grpc-client.ts";
import { isFull } from "../support/engine/races.ts";

/** Half of them on each listener. */
const SLOW = isFull ? 1_000 : 50;
const RESETS = isFull ? 100_000 : 5_000;
const PER_CONNECTION = 1_000;
/** Calls of the well-behaved client in one measurement. */
const CALLS = isFull ? 2_000 : 100;
const MIB = 1024 * 1024;
const LIST = "/mfa.v1.MfaService/ListTotpDevices";

/** The service as a process of its own, with a user who may call as often as they like. */
async function startProcess() {
  const folder = await mkdtemp(join(tmpdir(), "mfa-abuse-"));
  const settings = join(folder, "settings.json");
  writeFileSync(settings, JSON.stringify({ rates: { user: 1e6, source: 1e6 } }));
  const { child, outcome, saw } = start(process.execPath, ["--max-semi-space-size=4", "src/main.ts", "--dev"], {
    MFA_PORT: "0",
    MFA_GATEWAY_PORT: "0",
    MFA_ADMIN_PORT: "0",
    MFA_INTERNAL_PORT: "0",
    MFA_HOST: "127.0.0.1",
    MFA_DATA_DIR: folder,
    MFA_DATABASE_URL: "",
    MFA_KEY_FILE: "",
    MFA_CONFIG: settings,
  });
  const [, grpc, gateway, admin] = await saw(/:(\d+) \(grpc\).*:(\d+) \(gateway\).*:(\d+) \(admin\)/);
  const token = await mintDevToken(folder, { audience: "mfa", subject: "ann", acr: "aal1" });
  const memory = (line: "VmRSS" | "VmHWM") => {
    const table = readFileSync(`/proc/${child.pid}/status`, "utf8");
    return (Number(new RegExp(`${line}:\\s+(\\d+) kB`).exec(table)?.[1]) * 1024) / MIB;
  };
  return {
    port: Number(grpc),
    gatewayPort: Number(gateway),
    token,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    /** The sum of some lines of its metrics. */
    metric: async (pattern: RegExp) => {
      const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
      return text.split("\n").reduce((sum, line) => sum + (pattern.test(line) ? Number(line.split(" ").at(-1)) : 0), 0);
    },
    /** Forgets the most memory it ever held. */
    mark: () => {
      writeFileSync(`/proc/${child.pid}/clear_refs`, "5");
      const before = memory("VmRSS");
      return () => memory("VmHWM") - before;
    },
    stop: async () => {
      child.kill("SIGTERM");
      await outcome;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
type Service = Awaited<ReturnType<typeof startProcess>>;

/** A user who calls one RPC after the other, over gRPC and over the gateway, on connections of their own. */
function wellBehaved({ port, gatewayPort, token }: Service) {
  const { rpcs, close } = grpcClient(MfaService, port, token);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const browse = () =>
    new Promise<void>((resolve, reject) => {
      const headers = { "content-type": "application/json", authorization: `Bearer ${token}`, "content-length": 2 };
      const sent = request(
        { port: gatewayPort, host: "127.0.0.1", path: LIST, method: "POST", headers, agent },
        (got) => {
          got.resume().once("end", () => (got.statusCode === 200 ? resolve() : reject(new Error(`${got.statusCode}`))));
        },
      );
      sent.on("error", reject);
      sent.end("{}");
    });
  return {
    /** The 99th percentile in milliseconds, of calls of which each must succeed. */
    p99: async () => {
      const times: number[] = [];
      for (let n = 0; n < CALLS; n += 1) {
        const from = performance.now();
        await (n % 2 ? browse() : rpcs.listTotpDevices({}));
        times.push(performance.now() - from);
      }
      return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
    },
    close: () => {
      close();
      agent.destroy();
    },
  };
}

const report = (what: string, quiet: number, beside: number, growth: number) =>
  process.stdout.write(
    `${what}: p99 ${quiet.toFixed(1)} ms alone, ${beside.toFixed(1)} ms beside it (${(beside / quiet).toFixed(1)} times), ` +
      `${growth.toFixed(0)} MiB more at most\n`,
  );

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));

/** The headers of a gRPC call in HPACK, without indexing: literals after the static table's names. */
const HEADERS = Buffer.concat([
  Buffer.from([0x83, 0x86, 0x04, LIST.length]),
  Buffer.from(LIST),
  Buffer.from([0x01, 1]),
  Buffer.from("x"),
  Buffer.from([0x0f, 0x10, 16]),
  Buffer.from("application/grpc"),
  Buffer.from([0x00, 2]),
  Buffer.from("te"),
  Buffer.from([8]),
  Buffer.from("trailers"),
]);

describe("beside a well-behaved client", () => {
  let service: Service;
  let client: ReturnType<typeof wellBehaved>;
  let quiet = 0;

  beforeAll(async () => {
    service = await startProcess();
    client = wellBehaved(service);
    for (let n = 0; n < 3; n += 1) quiet = await client.p99(); // the first ones warm up
  }, 60_000);
  afterAll(async () => {
    client?.close();
    await service?.stop();
  });

  test(`${SLOW} slow clients are closed, and cost little`, { timeout: 60_000 }, async () => {
    const growth = service.mark();
    const sockets = Array.from({ length: SLOW }, (_, n): Socket => {
      const overGrpc = n % 2 === 0;
      // From so many addresses that none is refused for holding too many.
      const port = overGrpc ? service.port : service.gatewayPort;
      const socket = connect({ port, host: "127.0.0.1", localAddress: `127.0.0.${2 + (n % 8)}` });
      socket.on("error", () => {});
      const opening = overGrpc ? PREFACE.subarray(0, 10) : Buffer.from(`POST ${LIST} HTTP/1.1\r\nhost: x\r\nx-slow: `);
      socket.write(opening);
      // A preface that is not one would be closed at once: over gRPC they just wait.
      const timer = overGrpc ? undefined : setInterval(() => socket.write("a"), 500);
      socket.once("close", () => clearInterval(timer));
      return socket.resume();
    });
    const closed = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("close", resolve))));
    let open = true;
    void closed.then(() => {
      open = false;
    });
    const beside = await client.p99();
    let rounds = 1;
    while (open) {
      await client.p99();
      rounds += 1;
    }
    report(`${SLOW} slow clients`, quiet, beside, growth());
    expect(rounds).toBeGreaterThan(0);
    expect(growth()).toBeLessThan(128);
    // What is left are the well-behaved client's, and the one that asks.
    expect(await service.metric(/^mfa_sockets/)).toBeLessThanOrEqual(4);
    expect(await service.metric(/^mfa_limit_hits_total\{limit="first_call"\}/)).toBeGreaterThanOrEqual(SLOW / 2);
    expect(service.isAlive()).toBe(true);
  });

  test(`${RESETS} calls reset at once are cut off, cost little, and their source waits`, {
    timeout: 120_000,
  }, async () => {
    const growth = service.mark();
    const calls = Array.from({ length: PER_CONNECTION }, (_, n) => {
      const stream = 2 * n + 1;
      return Buffer.concat([frame(1, 4, stream, HEADERS), frame(3, 0, stream, Buffer.from([0, 0, 0, 8]))]);
    });
    const flood = Buffer.concat([PREFACE, SETTINGS, ...calls]);
    /** Opens calls and takes each back; settles when the server has had enough, not before. */
    const attack = () =>
      new Promise<void>((resolve) => {
        const socket = connect({ port: service.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
        socket.on("error", () => {});
        socket.once("close", () => resolve());
        socket.resume().write(flood);
      });
    let measuring = true;
    let attempts = 0;
    const attacks = (async () => {
      for (; measuring || attempts < RESETS / PER_CONNECTION; attempts += 1) await attack();
    })();
    const beside = await client.p99().finally(() => {
      measuring = false;
    });
    await attacks;
    report(`${attempts} connections with ${PER_CONNECTION} rapid resets each`, quiet, beside, growth());
    expect(growth()).toBeLessThan(128);
    // The first was cut, and then each that came when its time was over: far fewer than came.
    const cut = await service.metric(/^mfa_limit_hits_total\{limit="resets"\}/);
    expect(cut).toBeGreaterThanOrEqual(1);
    expect(cut).toBeLessThanOrEqual(5); // after 0, 1, 5, 21 and 85 seconds
    expect(await service.metric(/^mfa_limit_hits_total\{limit="cut_source"\}/)).toBe(attempts - cut);
    await client.p99();
    expect(await service.metric(/^mfa_sockets/)).toBeLessThanOrEqual(4);
    expect(service.isAlive()).toBe(true);
  });
});
