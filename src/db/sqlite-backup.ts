import Database from "better-sqlite3";
import { createPrivately } from "./private-file.ts";

/** Pages copied before others get their turn: a millisecond's worth. */
const STEP = 100;

/**
 * Copies a SQLite database that is in use, as it stood at one moment, to a file that only we may read. By a connection
 * of its own, which holds a read transaction for as long as it takes: what is committed meanwhile neither waits for the
 * copy nor begins it anew. Never by the connection that writes: while that has a transaction open, the driver takes
 * SQLite's "locked" for "no page left", and says that an empty copy is done.
 */
export async function copySqlite(path: string, target: string, signal: AbortSignal): Promise<void> {
  createPrivately(target);
  const source = new Database(path, { readonly: true, fileMustExist: true });
  try {
    source.exec("BEGIN");
    const pages = source.pragma("page_count", { simple: true });
    const { totalPages } = await source.backup(target, {
      progress: () => {
        signal.throwIfAborted();
        return STEP;
      },
    });
    if (totalPages === 0 || totalPages !== pages) throw new Error(`a backup has ${totalPages} of ${pages} pages`);
  } finally {
    source.close();
  }
}
