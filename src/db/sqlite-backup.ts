import Database from "better-sqlite3";
import { createPrivately } from "./private-file.ts";

/** Pages copied before the event loop gets a turn: about a millisecond's work. */
const STEP = 100;

/**
 * Copies a consistent snapshot of a SQLite database in use to a file that only its owner may read. It uses a connection
 * of its own with a read transaction, so that commits neither wait for the copy nor restart it. Never the writing
 * connection: while that has a transaction open, the driver takes SQLite's "locked" for "no page left" and reports an
 * empty copy as done.
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
