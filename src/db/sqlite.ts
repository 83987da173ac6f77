import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { createAnnouncements } from "./announcements.ts";
import { groupCommit } from "./group-commit.ts";
import { type Acceptance, migrateSqlite } from "./migrate.ts";
import { assertDefined, preparer, rowsOf } from "./prepare.ts";
import { createPrivately } from "./private-file.ts";
import { copySqlite } from "./sqlite-backup.ts";
import { vacuumSqlite } from "./sqlite-vacuum.ts";
import { type Queries, type Store, StoreUnavailable } from "./store.ts";
import { type Execute, unitRules } from "./unit.ts";

/** Where a SQLite store is and how much it may use. */
export interface SqliteOptions extends Acceptance {
  readonly path: string;
  /** Page cache of both connections together. */
  readonly cacheMegabytes?: number;
  /** Folder of the migrations to apply; without it the file is taken as it is. */
  readonly migrations?: string;
  /** How long a write waits, without blocking, for a lock that another process holds. */
  readonly busyTimeoutMs?: number;
  readonly batchSize?: number;
  /** After this long a unit is rolled back: one that never ends would keep every other writer waiting. */
  readonly unitTimeoutMs?: number;
  /** Called in the unit's own async context when it took over 50 ms, which delayed everybody else's commit. */
  readonly onSlowUnit?: (milliseconds: number) => void;
}

/** What every connection must hold after opening. WAL files re-open at NORMAL, which can lose acknowledged commits. */
const PRAGMAS = {
  synchronous: 2, // FULL
  foreign_keys: 1,
  secure_delete: 1, // a deleted secret is overwritten, not only unlinked
  busy_timeout: 10, // the driver blocks the event loop meanwhile; the patient waiting is done in group-commit.ts
  wal_autocheckpoint: 10_000,
  temp_store: 2, // MEMORY: no page images in the system's temporary folder
};

function connect(path: string, cacheMegabytes: number, options: Database.Options): Database.Database {
  const connection = new Database(path, { ...options, timeout: PRAGMAS.busy_timeout });
  try {
    const pragmas = {
      ...PRAGMAS,
      cache_size: -Math.round(cacheMegabytes * 1024),
      query_only: options.readonly ? 1 : 0,
    };
    if (!options.readonly) connection.pragma("journal_mode = WAL");
    for (const [name, value] of Object.entries(pragmas)) connection.pragma(`${name} = ${value}`);
    for (const [name, value] of Object.entries({ ...pragmas, journal_mode: "wal" })) {
      const actual = connection.pragma(name, { simple: true });
      if (actual !== value) throw new Error(`SQLite keeps ${name} at ${actual} instead of ${value}`);
    }
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * Holds the file for this process: two of them would each think their queue the only one. A lock on a file beside it, as
 * the lock of the database itself must stay free for our second connection; the system drops it when the process dies.
 */
function holdFor(path: string): Database.Database {
  createPrivately(`${path}.lock`);
  const guard = new Database(`${path}.lock`, { timeout: 0 });
  try {
    guard.exec("BEGIN EXCLUSIVE");
    return guard;
  } catch (cause) {
    guard.close();
    throw new StoreUnavailable(`${path} is in use by another process`, { cause });
  }
}

/** Of 4 KiB: larger files are not written anew for each erasure, as writers would wait for seconds. */
const MAX_VACUUM_PAGES = 32_768;
const SCRUB_ATTEMPTS = 20;
const SCRUB_PAUSE_MS = 100;

// READONLY only while writing: on the reader it is our own mistake, a read that writes.
const OUTAGES = /^SQLITE_(FULL|BUSY|LOCKED|IOERR|READONLY|CORRUPT|NOTADB|CANTOPEN|NOMEM|PROTOCOL)/;

function translate(error: unknown, reading: boolean): unknown {
  if (!(error instanceof Database.SqliteError) || !OUTAGES.test(error.code)) return error;
  if (reading && error.code.startsWith("SQLITE_READONLY")) return error;
  return new StoreUnavailable("SQLite failed", { cause: error });
}

function executing(connection: Database.Database, reading: boolean): Execute {
  // SQLite passes for PostgreSQL in what `Queries` picks: the builders agree at run time.
  const prepare = preparer("sqlite", drizzle(connection) as unknown as Queries);
  return (statement, params) => {
    assertDefined(params);
    try {
      return rowsOf(prepare(statement).execute(params).sync());
    } catch (error) {
      throw translate(error, reading);
    }
  };
}

/** Moves the log's pages into the file and cuts the log to nothing. Another process that reads, a backup, holds it up. */
async function emptyLog(writer: Database.Database, between: ReturnType<typeof groupCommit>["between"]): Promise<void> {
  for (let attempt = 1; attempt <= SCRUB_ATTEMPTS; attempt++) {
    const [found] = await between(() => writer.pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[]);
    if (found?.busy === 0) return;
    await sleep(SCRUB_PAUSE_MS);
  }
  throw new StoreUnavailable("The log of pages cannot be emptied: another process reads the file");
}

/**
 * Rids the files of what was deleted. Whoever asks while a run is under way waits for the next, which is one for all of
 * them: what was deleted behind the beginning of a run is not in it.
 */
function createScrub(path: string, writer: Database.Database, between: ReturnType<typeof groupCommit>["between"]) {
  const pragmas = ["synchronous", "secure_delete", "temp_store"] as const;
  const run = async () => {
    await between(async () => {
      const pages = writer.pragma("page_count", { simple: true }) as number;
      if (pages > MAX_VACUUM_PAGES) return;
      await vacuumSqlite(
        path,
        pragmas.map((name) => `${name} = ${PRAGMAS[name]}`),
      );
    });
    await emptyLog(writer, between);
  };
  let last: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  return (): Promise<void> => {
    next ??= last
      .catch(() => {})
      .then(() => {
        next = undefined;
        last = run();
        return last;
      });
    return next;
  };
}

/** How long reads may go on one behind the other before everybody else has a turn. */
const TURN_MS = 10;

/**
 * Lets others have their turn between reads: each is done at once, so a caller of many, who walks through a long list,
 * would never give the event loop back.
 */
function takingTurns() {
  let since: number | undefined;
  return async <T>(read: () => Promise<T>): Promise<T> => {
    if (since === undefined) {
      since = performance.now();
      setImmediate(() => {
        since = undefined;
      });
    }
    const result = await read();
    if (since !== undefined && performance.now() - since > TURN_MS) await nextTurn();
    return result;
  };
}

/** Opens a SQLite file: one connection that writes, in group commits, and one that can only read. */
export function openSqlite(options: SqliteOptions): Store {
  const { path, cacheMegabytes = 64, migrations, busyTimeoutMs = 3_000, batchSize = 256 } = options;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const guard = holdFor(path);
  const open: Database.Database[] = [guard];
  const release = () => {
    for (const connection of open.reverse()) connection.close();
  };
  try {
    createPrivately(path);
    const writer = connect(path, cacheMegabytes / 2, {});
    open.push(writer);
    if (migrations) migrateSqlite(writer, migrations, options);
    const reader = connect(path, cacheMegabytes / 2, { readonly: true });
    open.push(reader);

    const units = unitRules(options.unitTimeoutMs, options.onSlowUnit);
    const { enqueue, between } = groupCommit(writer, { batchSize, busyTimeoutMs });
    const scrub = createScrub(path, writer, between);
    const reads = executing(reader, true);
    const inTurns = takingTurns();
    const writes = executing(writer, false);
    // A file belongs to one process: whatever is announced is announced here.
    const announcements = createAnnouncements();
    return {
      engine: "sqlite",
      read: (work) => units.admit(() => inTurns(() => units.run(reads, work))),
      write: (work) =>
        units.admit(async () => {
          const announced = new Set<string>();
          const result = await enqueue(() => units.run(writes, work, announced));
          announcements.tell(announced);
          return result;
        }),
      scrub: () => units.admit(scrub),
      listen: announcements.add,
      backup: (target, signal) => units.admit(() => copySqlite(path, target, signal)),
      close: () => units.close(release),
    };
  } catch (error) {
    release();
    throw error;
  }
}
