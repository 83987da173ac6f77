import { pino } from "pino";
import { checkToken } from "./check-token.ts";
import { readCommandLine } from "./command-line.ts";
import { ConfigError, loadConfig } from "./config/config.ts";
import { devBanner } from "./dev/dev-banner.ts";
import { openLogFile } from "./log/log-file.ts";
import { type RunningServer, startServer } from "./server.ts";

const EX_CONFIG = 78;
const EX_USAGE = 2;
const LOG_GRACE_MS = 1_000;

// Standard output is for people and their shells; the log goes beside it, one JSON object a line.
// A log that cannot be written neither ends nor blocks the service.
const logFile = openLogFile(2);
const log = pino({ name: "mfa-service" }, logFile);
process.on("exit", () => logFile.flushAtExit());
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

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
    const ended = server.stop().finally(() => logFile.flush(LOG_GRACE_MS));
    ended.then(() => process.exit(0), fail);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

/** Does what the command line asks for in place of serving; returns if it asks to serve. */
async function obey(argv: readonly string[]): Promise<void> {
  const asked = readCommandLine(argv);
  if (asked.does === "serve") return;
  if (asked.does === "command") process.exit(await checkToken(argv.slice(1)));
  const [stream, code] = asked.does === "print" ? [process.stdout, 0] : ([process.stderr, EX_USAGE] as const);
  stream.write(asked.text, () => process.exit(code));
  await new Promise<never>(() => {});
}

try {
  await obey(process.argv.slice(2));
  const config = loadConfig(process.argv.slice(2));
  const server = await startServer(config, { log, logLost: logFile.lost });
  stopOnSignal(server);
  const banner = config.mode === "dev" ? await devBanner(config, server.listeners) : "";
  const where = server.listeners.map(({ kind, host, port }) => `${host}:${port} (${kind})`).join(", ");
  process.stdout.write(`mfa-service (${config.mode}) ready on ${where}\n${banner}`);
  void server.warmUp();
} catch (error) {
  fail(error);
}
