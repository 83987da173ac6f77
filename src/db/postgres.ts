import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { createAnnouncements } from "./announcements.ts";
import { type Acceptance, migratePostgres } from "./migrate.ts";
import { createNotifications } from "./notifications.ts";
import { CommitUnknown, executing, transaction, translate, withClient } from "./postgres-client.ts";
import { whyNoPostgres, whyNotMigrated } from "./postgres-reasons.ts";
import { type About, type Store, StoreConflict, type Tx } from "./store.ts";
import { unitRules } from "./unit.ts";

/** The address and the limits of a PostgreSQL store. */
export interface PostgresOptions extends Acceptance {
  readonly url: string;
  /** Connections for writes, and as many for reads. */
  readonly poolSize?: number;
  /** Folder of the migrations to apply; without it the database is taken as it is. */
  readonly migrations?: string;
  /** How long a unit waits for a connection, to a dead server or behind other units. */
  readonly connectTimeoutMs?: number;
  /** After this long a unit is rolled back. */
  readonly unitTimeoutMs?: number;
}

const ATTEMPTS = 4;

/**
 * Attempts of a unit with an exclusive lock on its subjects: no call runs beside it, so it can only lose to background
 * work, which its caller neither sees nor can wait for.
 */
const ATTEMPTS_ALONE = 12;

/** No wait is unbounded: each limit is a little wider than the one it backs up. */
const LIMITS = {
  statement_timeout: 5_000, // on the server
  query_timeout: 6_000, // by us, when the server no longer answers
  idle_in_transaction_session_timeout: 15_000, // by the server, when we send nothing any more
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  idleTimeoutMillis: 300_000, // a new connection prepares its statements afresh
};

/** A url with server settings added to those it brings; given beside the url they would be overridden by it. */
function withSettings(url: string, settings: Record<string, string>): string {
  if (!URL.canParse(url)) throw new Error("A PostgreSQL url cannot be read"); // URL's own error would quote it
  const parsed = new URL(url);
  const added = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  parsed.searchParams.set("options", [parsed.searchParams.get("options") ?? "", ...added].join(" ").trim());
  return parsed.href;
}

function createPool(url: string, { poolSize = 16, connectTimeoutMs = 3_000 }: PostgresOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: connectTimeoutMs,
    ...LIMITS,
  });
  // A connection that breaks raises `error` whether idle or in use, and unheard it would end the process. Idle ones the
  // pool replaces; a unit hears of it from its own query.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool;
}

async function prepareDatabase(options: PostgresOptions): Promise<void> {
  const { url, migrations, connectTimeoutMs = 3_000 } = options;
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs, keepAlive: true });
  client.on("error", () => {});
  try {
    await client.connect().catch((cause) => {
      throw whyNoPostgres(url, cause);
    });
    const { rows } = await client.query("SHOW synchronous_commit");
    if (rows[0].synchronous_commit === "off") {
      throw new Error(
        "PostgreSQL is set to synchronous_commit=off, which loses commits: ALTER SYSTEM SET synchronous_commit = on",
      );
    }
    if (migrations) await migratePostgres(client, migrations, options, executing(client, false).execute);
  } catch (error) {
    throw whyNotMigrated(url, translate(error, false));
  } finally {
    await client.end().catch(() => {});
  }
}

async function untilWon<T>(unit: () => Promise<T>, attempts = ATTEMPTS): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await unit();
    } catch (error) {
      if (!(error instanceof StoreConflict) || attempt === attempts) throw error;
      await sleep(Math.random() * 20 * attempt); // apart, or the losers meet again
    }
  }
}

/**
 * Opens a PostgreSQL database: one pool that writes, and one that can only read. Both on the one server: a read must
 * find what was acknowledged, which a replica may not have yet.
 */
export async function openPostgres(options: PostgresOptions): Promise<Store> {
  await prepareDatabase(options);
  // Fixed, since drizzle reads instants from their text.
  const settings = { TimeZone: "UTC", DateStyle: "ISO" };
  const writers = createPool(withSettings(options.url, settings), options);
  const readers = createPool(withSettings(options.url, { ...settings, default_transaction_read_only: "on" }), options);
  const units = unitRules(options.unitTimeoutMs);

  const announcements = createAnnouncements();
  const notifications = createNotifications(options, announcements);

  async function runOn<T>(
    client: pg.PoolClient,
    reading: boolean,
    work: (tx: Tx) => Promise<T>,
    announced = new Set<string>(),
  ): Promise<T> {
    const { execute, settled } = executing(client, reading);
    try {
      return await units.run(execute, work, announced);
    } finally {
      await settled(); // nothing may slip in behind the unit's end, into the COMMIT or the client's next unit
    }
  }

  /** One attempt at a unit that writes; what it announces goes with its commit to other instances, then to our own. */
  async function writeOn<T>(client: pg.PoolClient, work: (tx: Tx) => Promise<T>, about: About | undefined): Promise<T> {
    const announced = new Set<string>();
    const result = await transaction(client, about, async () => {
      const done = await runOn(client, false, work, announced);
      if (announced.size > 0) await notifications.send(client, announced);
      return done;
    }).catch((error: unknown) => {
      if (error instanceof CommitUnknown) {
        notifications.hearOwn();
        announcements.tellOfGap();
      }
      throw error;
    });
    announcements.tell(announced);
    return result;
  }

  return {
    engine: "postgres",
    read: (work) => units.admit(() => untilWon(() => withClient(readers, (client) => runOn(client, true, work)))),
    write: (work, about) =>
      units.admit(() =>
        untilWon(
          () => withClient(writers, (client) => writeOn(client, work, about)),
          about?.alone ? ATTEMPTS_ALONE : ATTEMPTS,
        ),
      ),
    // Deleted rows go with the server's own vacuum, what its log holds of them with the log.
    scrub: async () => {},
    listen: (listener) => {
      notifications.open();
      return announcements.add(listener);
    },
    close: () =>
      units.close(async () => {
        await Promise.all([writers.end(), readers.end(), notifications.close()]);
      }),
  };
}
