import { pino } from "pino";
import { ConfigError, loadConfig } from "./config.ts";
import { devBanner } from "./dev/dev-banner.ts";
import { type RunningServer, startServer } from "./server.ts";

const EX_CONFIG = 78;

// Standard output is for people and their shells; the log goes beside it, one JSON object a line.
const log = pino({ name: "mfa-service" }, pino.destination({ fd: 2, sync: true }));

function fail(error: unknown): never {
  const lines = error instanceof ConfigError ? error.lines : [error instanceof Error ? error.message : String(error)];
  process.stderr.write(`mfa-service does not start:\n${lines.map((line) => `  ${line}\n`).join("")}`);
  process.exit(error instanceof ConfigError ? EX_CONFIG : 1);
}

/** Drains on the first signal and gives up waiting on a later one. */
function stopOnSignal(server: RunningServer): void {
  let since: number | undefined;
  const stop = (signal: string) => {
    // Ctrl-C reaches us twice under npm: from the terminal, and passed on by npm.
    if (since !== undefined && Date.now() - since < 1_000) return;
    if (since !== undefined) process.exit(1);
    since = Date.now();
    log.info({ signal }, "draining");
    server.stop().then(() => process.exit(0), fail);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

try {
  const config = loadConfig(process.argv.slice(2));
  const server = await startServer(config, { log });
  stopOnSignal(server);
  const banner = config.mode === "dev" ? await devBanner(config, server.listeners) : "";
  const where = server.listeners.map(({ kind, host, port }) => `${host}:${port} (${kind})`).join(", ");
  process.stdout.write(`mfa-service (${config.mode}) ready on ${where}\n${banner}`);
  void server.warmUp();
} catch (error) {
  fail(error);
}
