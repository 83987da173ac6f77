// Open watches on one process: what each holds of its memory, and how long it takes until all of them have been told.
// Every watch is of another user's challenge, as with 10,000 people before a log-in page. They come through a few
// connections, as from the backends of those pages: what a connection costs is not measured here.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CancelUserChallengeRequestSchema,
  ChallengePurpose,
  ChallengeState,
  CreateUserChallengeRequestSchema,
  CreateUserChallengeResponseSchema,
  WatchUserChallengeRequestSchema,
  WatchUserChallengeResponseSchema,
} from "../gen/mfa/v1/challenge_pb.js";
import { ANY_PORTS, run, start } from "./processes.mjs";
import { userOf } from "./totp/users.ts";

const SERVICE = "/mfa.v1.InternalMfaService";
const CONNECTIONS = 100;
const LIFETIME_S = 600;
const IN_FLIGHT = 64;

const say = (text) => process.stderr.write(`${text}\n`);
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
const residentKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

/** Calls over a few HTTP/2 connections; each message of an answer is handed on as it comes. */
function opener(port) {
  const sessions = Array.from({ length: CONNECTIONS });
  let turn = 0;
  return {
    open(path, message, { token, heard }) {
      const n = turn++ % CONNECTIONS;
      if (!sessions[n] || sessions[n].destroyed) {
        sessions[n] = connect(`http://127.0.0.1:${port}`);
        sessions[n].setMaxListeners(0);
      }
      const stream = sessions[n].request({
        ...{ ":method": "POST", ":path": `${SERVICE}/${path}`, "content-type": "application/grpc", te: "trailers" },
        authorization: `Bearer ${token}`,
      });
      const ended = Promise.withResolvers();
      let rest = Buffer.alloc(0);
      let status;
      stream.on("response", (head) => {
        status = head["grpc-status"];
      });
      stream.on("trailers", (trailers) => {
        status = trailers["grpc-status"];
      });
      stream.on("data", (chunk) => {
        rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
          const end = 5 + rest.readUInt32BE(1);
          heard(rest.subarray(5, end));
          rest = rest.subarray(end);
        }
      });
      stream.on("error", ended.reject);
      stream.on("close", () => (status === "0" ? ended.resolve() : ended.reject(new Error(`${path}: ${status}`))));
      const frame = Buffer.alloc(5 + message.length);
      frame.writeUInt32BE(message.length, 1);
      frame.set(message, 5);
      stream.end(frame);
      return { ended: ended.promise, cancel: () => stream.close() };
    },
    close: () => {
      for (const session of sessions) session?.destroy();
    },
  };
}

/** Does so many things, a number of them at once. */
async function inFlight(count, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

/** Measures; `quick` with a tenth of the watches, for the work on the bench itself. */
export async function benchWatches({ quick = false } = {}) {
  const watches = quick ? 1_000 : 10_000;
  const samples = quick ? 50 : 200;
  const root = mkdtempSync(join(tmpdir(), "mfa-bench-"));
  const env = { ...ANY_PORTS, MFA_DATA_DIR: join(root, "data") };
  const url = `sqlite:${join(root, "mfa.db")}`;
  const begin = async () => {
    const service = await start("totp/service.ts", {
      ...{ env: { ...env, MFA_DATABASE_URL: url }, execArgv: ["--expose-gc"], log: join(root, "service.log") },
    });
    return { service, token: await service.ask("advance", 0), ...opener(service.port) };
  };
  say(`seeding ${watches + samples} users`);
  await run("totp/seed.ts", [env.MFA_DATA_DIR, url, String(watches + samples)]);
  let { service, token, open, close } = await begin();
  try {
    const ask = async (path, message) => {
      let reply;
      await open(path, message, { token, heard: (bytes) => (reply = bytes) }).ended;
      return reply;
    };
    const challenge = async (n) => {
      const terms = { purpose: ChallengePurpose.LOG_IN, lifetime: { seconds: BigInt(LIFETIME_S) } };
      const asked = create(CreateUserChallengeRequestSchema, {
        ...{ userId: userOf(n), terms, client: { ip: "203.0.113.7" } },
      });
      const reply = await ask("CreateUserChallenge", toBinary(CreateUserChallengeRequestSchema, asked));
      return fromBinary(CreateUserChallengeResponseSchema, reply).challenge.challengeId;
    };
    /** Watches one; `seen` hears each state. Resolves once the first has come. */
    const watch = (n, challengeId, seen = () => {}) => {
      const first = Promise.withResolvers();
      const request = create(WatchUserChallengeRequestSchema, { userId: userOf(n), challengeId });
      const { ended, cancel } = open("WatchUserChallenge", toBinary(WatchUserChallengeRequestSchema, request), {
        token,
        heard: (bytes) => {
          first.resolve();
          seen(fromBinary(WatchUserChallengeResponseSchema, bytes).challenge.state);
        },
      });
      ended.catch(first.reject);
      return { begun: first.promise, ended, cancel };
    };
    const memory = async () => {
      await service.ask("heap");
      await wait(1_000);
      const heap = await service.ask("heap");
      return { heap, resident: residentKb(service.pid) * 1024 };
    };

    say(`creating ${watches + samples} challenges`);
    const ids = [];
    await inFlight(watches + samples, async (n) => {
      ids[n] = await challenge(n);
    });
    // A process of its own for the watches, whose memory no other work has blown up.
    close();
    await service.stop();
    ({ service, token, open, close } = await begin());
    say("warming up");
    const warm = [];
    await inFlight(2 * CONNECTIONS, async (n) => {
      const one = watch(n, ids[n]);
      one.ended.catch(() => {});
      await one.begun;
      warm.push(one);
    });
    for (const { cancel } of warm) cancel();
    await wait(2_000);
    const before = await memory();

    say(`opening ${watches} watches`);
    const told = [];
    const open_ = [];
    await inFlight(watches, async (n) => {
      const one = watch(n, ids[n], (state) => {
        if (state === ChallengeState.EXPIRED) told.push(performance.now());
      });
      open_.push(one.ended);
      await one.begun;
    });
    const after = await memory();

    say("changing one after the other while all are open");
    const delays = [];
    for (let n = watches; n < watches + samples; n++) {
      const seen = Promise.withResolvers();
      const one = watch(n, ids[n], (state) => state === ChallengeState.CANCELLED && seen.resolve(performance.now()));
      await one.begun;
      const request = create(CancelUserChallengeRequestSchema, { userId: userOf(n), challengeId: ids[n] });
      const sent = performance.now();
      await ask("CancelUserChallenge", toBinary(CancelUserChallengeRequestSchema, request));
      delays.push((await seen.promise) - sent);
      await one.ended;
    }
    delays.sort((a, b) => a - b);

    say("ending all at once");
    const cpu = await service.ask("cpu");
    const moved = performance.now();
    await service.ask("advance", LIFETIME_S * 1_000);
    await Promise.all(open_);
    const used = await service.ask("cpu");
    if (told.length !== watches) throw new Error(`${told.length} of ${watches} were told`);
    told.sort((a, b) => a - b);
    return {
      watches,
      heap: (after.heap - before.heap) / watches,
      resident: (after.resident - before.resident) / watches,
      residentAll: after.resident,
      change: { p50: at(delays, 0.5), p99: at(delays, 0.99) },
      // The wheel turns once a second: the first hears up to a second after its time.
      first: told[0] - moved,
      all: told.at(-1) - told[0],
      cpu: (used.user + used.system - cpu.user - cpu.system) / watches,
    };
  } finally {
    close();
    await service.stop();
    rmSync(root, { recursive: true, force: true });
  }
}
