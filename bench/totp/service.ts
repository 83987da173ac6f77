// The service as it is, in a process of its own, for the benches: on the database that was seeded, with a clock that
// the bench moves so that codes do not run out, without rates, since one client plays every backend. With SYNC=OFF,
// SQLite is told not to wait for the disk: what durability costs is the difference. Talks to its parent by messages.
import { once } from "node:events";
import { Session } from "node:inspector/promises";
import Database from "better-sqlite3";
import { pino } from "pino";
import { loadConfig } from "../../src/config/config.ts";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";
import { startServer } from "../../src/server.ts";

if (process.env.SYNC === "OFF") {
  // Of the bench, not of the product, which refuses to serve so: each connection says FULL and means OFF.
  const pragma = Database.prototype.pragma;
  Database.prototype.pragma = function (source: string, options?: Database.PragmaOptions) {
    if (source === "synchronous = 2") return pragma.call(this, "synchronous = 0", options);
    const value = pragma.call(this, source, options);
    return source === "synchronous" && value === 0 ? 2 : value;
  };
}

const FAST = 1e9;
let shift = 0;
const clock = () => new Date(Date.now() + shift);
const config = loadConfig(["--dev"]);
const rates = Object.fromEntries(Object.keys(config.rates).map((name) => [name, FAST])) as typeof config.rates;
const server = await startServer(
  { ...config, rates },
  { log: pino({ name: "mfa-service" }, pino.destination({ fd: 2, sync: true })), clock },
);
await server.warmUp();

const profiler = new Session();
// biome-ignore lint/suspicious/noExplicitAny: each question has an argument of its own
const answers: Record<string, (by: any) => unknown | Promise<unknown>> = {
  /** Moves the clock; a token of the new time. */
  advance: (by) => {
    shift += by;
    return mintDevToken(
      config.dataDir,
      { audience: "mfa-internal", subject: "bench", scope: "mfa.verify mfa.challenge" },
      clock(),
    );
  },
  /** A token of a user, fresh. */
  userToken: (subject: string) =>
    mintDevToken(config.dataDir, { audience: "mfa", subject, acr: "aal2", session: subject }, clock()),
  now: () => clock().getTime(),
  cpu: () => process.cpuUsage(),
  /** Microseconds: of the processor, and of the main loop not idle. */
  cost: () => {
    const { user, system } = process.cpuUsage();
    return { cpu: user + system, loop: performance.eventLoopUtilization().active * 1000 };
  },
  rss: () => process.memoryUsage.rss(),
  /** What is left on the heap after a collection, with --expose-gc. */
  heap: () => {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
  },
  /** Begins to sample what the process does; the end answers the samples. */
  profile: async () => {
    profiler.connect();
    await profiler.post("Profiler.enable");
    await profiler.post("Profiler.start");
  },
  profiled: async () => (await profiler.post("Profiler.stop")).profile,
  stop: () => server.stop(),
};
process.on("message", async ({ id, ask, by }: { id: number; ask: string; by?: unknown }) => {
  process.send?.({ id, answer: await answers[ask]?.(by) });
  if (ask === "stop") process.exit(0);
});
process.send?.({ port: server.listeners[0]?.port });
await once(process, "disconnect");
process.exit(0);
