import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import Database from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { createAnnouncements } from "./announcements.ts";
import { groupCommit } from "./group-commit.ts";
import { type Acceptance, migrateSqlite } from "./migrate.ts";
import { preparer } from "./prepare.ts";
import { createPrivately } from "./private-file.ts";
import { copySqlite } from "./sqlite-backup.ts";
import { watchFiles, whyNotOpened } from "./sqlite-files.ts";
import { createScrub } from "./sqlite-scrub.ts";
import { compile, type Run } from "./sqlite-statements.ts";
import { type Queries, type Statement, type Store, StoreDamaged, StoreUnavailable } from "./store.ts";
import { type Execute, unitRules } from "./unit.ts";

/** The file and the limits of a SQLite store. */
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
  /** Called in the unit's own async context when it took over 50 ms, which delays the commits of all others. */
  readonly onSlowUnit?: (milliseconds: number) => void;
}

/** Pragmas that every connection must have. WAL files re-open at NORMAL, which can lose acknowledged commits. */
const PRAGMAS = {
  synchronous: 2, // FULL
  foreign_keys: 1,
  secure_delete: 1, // a deleted secret is overwritten, not only unlinked
  busy_timeout: 10, // the driver blocks the event loop while it waits, so group-commit.ts waits instead
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

/** Whether SQLite says that the file itself is damaged. */
const DAMAGE = /^SQLITE_(CORRUPT|NOTADB|IOERR_CORRUPTFS)/;

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
  } catch (error) {
    guard.close();
    throw error;
  }
}

// READONLY only while writing: on the reader it is our own mistake, a read that writes.
const OUTAGES = /^SQLITE_(FULL|BUSY|LOCKED|IOERR|READONLY|CANTOPEN|NOMEM|PROTOCOL)/;

function translate(error: unknown, reading: boolean): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  if (DAMAGE.test(error.code)) return new StoreDamaged("the database's file is damaged", { cause: error });
  if (!OUTAGES.test(error.code)) return error;
  if (reading && error.code.startsWith("SQLITE_READONLY")) return error;
  return new StoreUnavailable("SQLite failed", { cause: error });
}

function executing(connection: Database.Database, reading: boolean): Execute {
  // SQLite passes for PostgreSQL in what `Queries` picks: the builders agree at run time.
  const prepare = preparer("sqlite", drizzle(connection) as unknown as Queries);
  const compiled = new WeakMap<object, Run>();
  const runOf = <P, R>(statement: Statement<P, R>): Run => {
    const run = compiled.get(statement) ?? compile(prepare(statement));
    compiled.set(statement, run);
    return run;
  };
  return <P, R>(statement: Statement<P, R>, params: Record<string, unknown>) => {
    try {
      return runOf(statement)(params) as R[];
    } catch (error) {
      throw translate(error, reading);
    }
  };
}

/** What the connection that writes a file anew must hold. */
const VACUUM_PRAGMAS = (["synchronous", "secure_delete", "temp_store"] as const).map(
  (name) => `${name} = ${PRAGMAS[name]}`,
);

/** How long statements may go on one behind the other before everybody else has a turn. */
const TURN_MS = 5;

/**
 * Lets others have their turn between statements: each is done at once, so a unit of many, or a caller of many units,
 * would never give the event loop back. Returns what to wait for, where the turn has lasted long enough.
 */
function takingTurns() {
  let since: number | undefined;
  return (): Promise<void> | undefined => {
    const now = performance.now();
    if (since === undefined) {
      since = now;
      setImmediate(() => {
        since = undefined;
      });
    }
    return now - since > TURN_MS ? nextTurn() : undefined;
  };
}

/** Lets others have their turn between the statements of a unit. A connection that writes is nobody else's until it has ended. */
const pausing =
  (execute: Execute, turnOver: () => Promise<void> | undefined): Execute =>
  (statement, params) => {
    const rows = execute(statement, params);
    const turn = turnOver();
    return turn === undefined ? rows : turn.then(() => rows);
  };

/** Whether there is no database yet: no file, or an empty one. */
const isAbsent = (path: string): boolean => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0;

/** Begins a database that is not there; throws where it must not be begun, or where SQLite would fill it from a log of another. */
function beginAnew(path: string, { onNew }: Acceptance): void {
  onNew?.();
  if (isAbsent(`${path}-wal`)) return;
  throw new Error(`${path}-wal is left of a database that is not there: put that back beside it, or move the log away`);
}

/** Opens a SQLite file: one connection that writes, in group commits, and one that can only read. */
export function openSqlite(options: SqliteOptions): Store {
  const { path, cacheMegabytes = 64, migrations, busyTimeoutMs = 3_000, batchSize = 256 } = options;
  const open: Database.Database[] = [];
  const release = () => {
    for (const connection of open.reverse()) connection.close();
  };
  try {
    if (migrations && isAbsent(path)) beginAnew(path, options);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    open.push(holdFor(path));
    createPrivately(path);
    const writer = connect(path, cacheMegabytes / 2, {});
    open.push(writer);
    if (migrations) migrateSqlite(writer, migrations, options, executing(writer, false));
    const reader = connect(path, cacheMegabytes / 2, { readonly: true });
    open.push(reader);

    const units = unitRules(options.unitTimeoutMs, options.onSlowUnit);
    const { enqueue, between } = groupCommit(writer, { batchSize, busyTimeoutMs });
    const { scrub, beside, end } = createScrub(writer, between, { path, pragmas: VACUUM_PRAGMAS });
    const requireFiles = watchFiles(path);
    const turnOver = takingTurns();
    const reads = pausing(executing(reader, true), turnOver);
    const writes = pausing(executing(writer, false), turnOver);
    // A file belongs to one process: whatever is announced is announced here.
    const announcements = createAnnouncements();
    return {
      engine: "sqlite",
      read: (work) =>
        units.admit(async () => {
          requireFiles();
          return units.run(reads, work);
        }),
      write: (work) =>
        units.admit(async () => {
          requireFiles();
          const announced = new Set<string>();
          const result = await enqueue(() => units.run(writes, work, announced));
          // What went into a file that is nowhere any more is not answered as done.
          requireFiles();
          announcements.tell(announced);
          return result;
        }),
      scrub: () => units.admit(scrub),
      listen: announcements.add,
      backup: (target, signal) => units.admit(() => beside(copySqlite(path, target, signal))),
      close: () => units.close(() => end().finally(release)),
    };
  } catch (error) {
    release();
    throw whyNotOpened(path, error);
  }
}
