import { type BigIntStats, statSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { StoreUnavailable } from "./store.ts";

/** The shortest interval between two checks of the files; one costs some microseconds. */
const EVERY_MS = 20;

const found = (path: string): BigIntStats | undefined => statSync(path, { bigint: true, throwIfNoEntry: false });
const isSame = (a?: BigIntStats, b?: BigIntStats) => a !== undefined && a.ino === b?.ino && a.dev === b?.dev;

/**
 * Watches that a database's file and WAL are still at their paths. Commits to a deleted or moved file succeed and are
 * lost with the process. The returned function throws StoreUnavailable then, until the files are back.
 */
export function watchFiles(path: string): () => void {
  const paths = [path, `${path}-wal`];
  const opened = paths.map(found);
  let lookedAt = Number.NEGATIVE_INFINITY;
  let missing: string | undefined;
  return () => {
    const now = performance.now();
    if (now - lookedAt >= EVERY_MS) {
      lookedAt = now;
      // A log that was not there yet is made by the first write.
      missing = paths.find((one, n) => opened[n] !== undefined && !isSame(opened[n], found(one)));
    }
    if (missing === undefined) return;
    throw new StoreUnavailable(
      `${missing} was deleted, moved or replaced under the service: nothing more is written. Put it back, or stop the service and restore a backup`,
    );
  };
}

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : "");

/** What stops SQLite from opening a file, and what mends it: by the code that it, or the system, gives. */
const REASONS: readonly (readonly [RegExp, (path: string) => string])[] = [
  [/^SQLITE_(BUSY|LOCKED)/, (path) => `${path} is in use by another process`],
  [
    /^(EACCES|EPERM|SQLITE_CANTOPEN|SQLITE_PERM|SQLITE_AUTH)/,
    (path) =>
      `${path} cannot be opened or made: let the user of the service (${userName()}) write to it and to its folder ${dirname(path)}`,
  ],
  [
    /^(EROFS|SQLITE_READONLY)/,
    (path) =>
      `${path} or its folder ${dirname(path)} is read-only for the user of the service (${userName()}): SQLite writes to the file and beside it`,
  ],
  [/^(ENOSPC|SQLITE_FULL)/, (path) => `there is no room left for ${path}`],
  [/^SQLITE_NOTADB/, (path) => `${path} is no SQLite database, or its beginning is damaged: restore a backup`],
  [/^SQLITE_CORRUPT/, (path) => `${path} is damaged: restore a backup`],
  [/^SQLITE_IOERR/, (path) => `${path} cannot be read or written: the file system fails`],
];

const userName = () => `uid ${process.getuid?.() ?? "unknown"}`;

/** The reason why a database could not be opened, in one line; what has none of its own stays as it is. */
export function whyNotOpened(path: string, error: unknown): unknown {
  if (found(path)?.isDirectory())
    return new StoreUnavailable(`${path} is a folder: name a file in it`, { cause: error });
  const code = codeOf(error);
  const reason = REASONS.find(([codes]) => codes.test(code))?.[1](path);
  const isForeign = error instanceof Database.SqliteError || code.startsWith("E");
  return reason !== undefined && isForeign ? new StoreUnavailable(reason, { cause: error }) : error;
}
