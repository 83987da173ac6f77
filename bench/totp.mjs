// Internal TOTP verification beside what bounds it and beside a peer, in one run: the same server's health check, the
// same service with SQLite not waiting for the disk, Node's own HTTP/2, better-auth. Rounds alternate, so that whatever
// else the machine does meets all alike; figures are medians of rounds, ratios medians of the ratios of each round.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { generateSync } from "otplib";
import { VerifyUserTotpCodeRequestSchema } from "../gen/mfa/v1/totp_pb.js";
import { grpcCaller, load } from "./load.mjs";
import { median } from "./median.mjs";
import { startServer as startPostgres } from "./postgres.mjs";
import { ANY_PORTS, run, start } from "./processes.mjs";
import { codeAt, userOf } from "./totp/users.ts";

/** How long a code is good. */
export const STEP = 30_000;
const VERIFY = "/mfa.v1.InternalMfaService/VerifyUserTotpCode";
/** What answers without doing anything. */
export const HEALTH = "/grpc.health.v1.Health/Check";
const BETTER_AUTH = "1.7.25";

/** Tells whoever waits. */
export const say = (text) => process.stderr.write(`${text}\n`);

/** Users in an order that no cache foresees, the same in every run. */
export function shuffled(count) {
  const order = Uint32Array.from({ length: count }, (_, n) => n);
  let seed = 42;
  for (let n = count - 1; n > 0; n--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const other = seed % (n + 1);
    [order[n], order[other]] = [order[other], order[n]];
  }
  return order;
}

/** Verifies, each with a code that was not used before: that is what the clock is moved for before every round. */
export function verification(service, users) {
  const order = shuffled(users);
  const caller = grpcCaller(service.port, VERIFY);
  let token = "";
  let step = 0;
  let next = 0;
  return {
    prepare: async () => {
      const now = await service.ask("now");
      token = await service.ask("advance", 4 * STEP + (STEP - (now % STEP)) + 500);
      step = Math.floor((await service.ask("now")) / STEP);
      next = next % users;
    },
    call: () => {
      const turn = next++;
      const user = order[turn % users];
      const request = { userId: userOf(user), code: codeAt(user, step + Math.floor(turn / users)) };
      const client = { ip: "203.0.113.7" };
      return caller.call(
        toBinary(VerifyUserTotpCodeRequestSchema, create(VerifyUserTotpCodeRequestSchema, { ...request, client })),
        token,
      );
    },
    close: caller.close,
  };
}

/** Calls that say the same thing always. */
export function fixed(port, path, message = Buffer.alloc(0)) {
  const caller = grpcCaller(port, path);
  return { call: () => caller.call(message), close: caller.close };
}

/** better-auth's verification over HTTP/1.1 with kept connections; each ends a log-in that waits for its code. */
function peerVerification(peer, logIns) {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  let waiting = [];
  const prepare = async () => {
    waiting = await peer.ask("logIns", logIns);
  };
  const call = () =>
    new Promise((resolve, reject) => {
      const next = waiting.pop();
      if (!next) return resolve(false);
      const body = JSON.stringify({ code: generateSync({ secret: next.secret }) });
      const headers = { cookie: next.cookie, origin: "http://127.0.0.1", "content-type": "application/json" };
      const path = "/api/auth/two-factor/verify-totp";
      const asked = request({ agent, port: peer.port, path, method: "POST", headers }, (response) => {
        let text = "";
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () =>
          response.statusCode === 200 ? resolve(true) : reject(new Error(`${response.statusCode} ${text}`)),
        );
      });
      asked.on("error", reject);
      asked.end(body);
    });
  return { prepare, call, close: () => agent.destroy() };
}

/** Alternates rounds of all targets at one number of calls in flight. */
export async function compare(targets, { inFlight, rounds, ms }) {
  const results = new Map(targets.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, service, work } of targets) {
      await work.prepare?.();
      const before = await service.ask("cpu");
      const measured = await load(work.call, { inFlight, ms });
      const after = await service.ask("cpu");
      if (measured.failed > 0) throw new Error(`${name}: ${measured.failed} calls failed: ${measured.problem}`);
      const cpu = after.user + after.system - before.user - before.system;
      results.get(name).push({ ...measured, cpu: cpu / measured.calls });
    }
  }
  const [[, base]] = results;
  return [...results].map(([name, all]) => ({
    name,
    inFlight,
    rate: median(all.map(({ rate }) => rate)),
    p50: median(all.map(({ p50 }) => p50)),
    p99: median(all.map(({ p99 }) => p99)),
    cpu: median(all.map(({ cpu }) => cpu)),
    ofThis: median(base.map(({ rate }, round) => rate / all[round].rate)),
  }));
}

/** Starts the service on a seeded database. */
export async function startService(folder, url, users, { env = {}, execArgv = [] } = {}) {
  const dataDir = join(folder, "data");
  say(`seeding ${users} users`);
  await run("totp/seed.ts", [dataDir, url, String(users)]);
  const started = { ...ANY_PORTS, MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: url, ...env };
  return start("totp/service.ts", { env: started, execArgv, log: join(folder, "service.log") });
}

/** Measures everything; `quick` in seconds, for the work on the bench itself. */
export async function benchTotp({ quick = false } = {}) {
  const settings = quick
    ? { sizes: [2_000, 20_000], levels: [1, 64], rounds: 1, ms: 500 }
    : { sizes: [10_000, 1_000_000], levels: [1, 16, 64, 256], rounds: 3, ms: 1_000 };
  const { sizes, levels, rounds, ms } = settings;
  const [small, large] = sizes;
  const root = mkdtempSync(join(tmpdir(), "mfa-bench-"));
  const postgres = await startPostgres();
  const report = { settings, comparisons: [], memory: {}, peer: undefined };
  const folderOf = (name) => join(root, name);
  try {
    const echo = await start("echo.mjs");
    const full = await startService(folderOf("full"), `sqlite:${folderOf("full")}/mfa.db`, small);
    report.memory.idle = (await full.ask("rss")) / 1e6;
    const off = await startService(folderOf("off"), `sqlite:${folderOf("off")}/mfa.db`, small, {
      env: { SYNC: "OFF" },
    });
    const big = await startService(folderOf("big"), `sqlite:${folderOf("big")}/mfa.db`, large);
    const onPostgres = [];
    for (const users of sizes) {
      const name = `postgres-${users}`;
      onPostgres.push(await startService(folderOf(name), await postgres.create(`mfa_${users}`), users));
    }
    const [pgSmall, pgBig] = onPostgres;
    const targets = [
      { name: "TOTP, SQLite", service: full, work: verification(full, small) },
      { name: "health check of the same server", service: full, work: fixed(full.port, HEALTH) },
      { name: "TOTP, SQLite, synchronous=OFF", service: off, work: verification(off, small) },
      { name: "node:http2 echo", service: echo, work: fixed(echo.port, "/echo", Buffer.alloc(40, 120)) },
      { name: `TOTP, SQLite, ${large} users`, service: big, work: verification(big, large) },
      { name: "TOTP, PostgreSQL", service: pgSmall, work: verification(pgSmall, small) },
      { name: `TOTP, PostgreSQL, ${large} users`, service: pgBig, work: verification(pgBig, large) },
    ];
    say("warming up");
    await compare(targets, { inFlight: 16, rounds: 1, ms: quick ? 300 : 4_000 });
    for (const inFlight of levels) {
      say(`${inFlight} in flight`);
      report.comparisons.push(...(await compare(targets, { inFlight, rounds, ms })));
    }
    report.memory.loaded = (await full.ask("rss")) / 1e6;

    say("better-auth");
    const folder = join(root, "peer");
    execFileSync("mkdir", ["-p", folder]);
    writeFileSync(join(folder, "package.json"), '{"private": true}');
    const packages = [`better-auth@${BETTER_AUTH}`, "better-sqlite3@13.2.0"];
    execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--loglevel=error", ...packages], {
      cwd: folder,
    });
    const peer = await start("better-auth.mjs", { args: [folder, quick ? "8" : "64"], log: join(folder, "peer.log") });
    const sides = [
      targets[0],
      { name: `better-auth ${BETTER_AUTH}`, service: peer, work: peerVerification(peer, quick ? 200 : 1_500) },
    ];
    await compare(sides, { inFlight: 16, rounds: 1, ms: quick ? 300 : 4_000 });
    report.peer = await compare(sides, { inFlight: 16, rounds, ms });
    await peer.stop();

    for (const { work } of targets) work.close();
    for (const one of [echo, full, off, big, ...onPostgres]) await one.stop();
    return report;
  } finally {
    await postgres.stop();
    rmSync(root, { recursive: true, force: true });
  }
}
