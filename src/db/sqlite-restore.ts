import { closeSync, copyFileSync, existsSync, fsyncSync, openSync, renameSync } from "node:fs";
import Database from "better-sqlite3";
import { createPrivately } from "./private-file.ts";
import { copySqlite } from "./sqlite-backup.ts";
import { whyNotOpened } from "./sqlite-files.ts";

/** Returns the path of a SQLite url; undefined for another engine. */
export const sqlitePathOf = (url: string): string | undefined => /^sqlite:(?:\/\/)?(.+)$/.exec(url)?.[1];

function sync(path: string): void {
  const file = openSync(path, "r+");
  fsyncSync(file);
  closeSync(file);
}

/** Throws, in one line, unless a file is a whole SQLite database of this service. */
export function requireWhole(path: string): void {
  let connection: Database.Database | undefined;
  try {
    connection = new Database(path, { readonly: true, fileMustExist: true });
    const [first] = connection.pragma("integrity_check(1)") as { integrity_check: string }[];
    if (first?.integrity_check !== "ok") throw new Error(`${path} is damaged: take another copy`);
    const found = connection.prepare("SELECT 1 FROM sqlite_master WHERE name = 'installation'").get();
    if (!found) throw new Error(`${path} is no database of this service`);
  } catch (error) {
    throw whyNotOpened(path, error);
  } finally {
    connection?.close();
  }
}

/** Copies a database, in use or not, to a new file, whole or not at all. */
export async function copyDatabase(path: string, target: string, signal: AbortSignal): Promise<void> {
  if (existsSync(target)) throw new Error(`${target} exists already: name another file`);
  const draft = `${target}.part`;
  await copySqlite(path, draft, signal);
  sync(draft);
  renameSync(draft, target);
}

/** Throws where a process serves the database. */
function requireIdle(path: string): void {
  createPrivately(`${path}.lock`);
  const guard = new Database(`${path}.lock`, { timeout: 0 });
  try {
    guard.exec("BEGIN EXCLUSIVE");
  } catch {
    throw new Error(`${path} is in use: stop the service first`);
  } finally {
    guard.close();
  }
}

/**
 * Puts a copy in the place of a database that nobody uses. What was there is kept beside it: returns the name, undefined
 * where nothing was there.
 */
export function restoreDatabase(copy: string, path: string, now: Date): string | undefined {
  requireWhole(copy);
  requireIdle(path);
  const draft = `${path}.restored`;
  copyFileSync(copy, draft);
  sync(draft);
  const aside = `${path}.before-${now.toISOString().replaceAll(/[-:.]/g, "")}`;
  const isThere = existsSync(path);
  for (const end of ["", "-wal", "-shm"])
    if (existsSync(`${path}${end}`)) renameSync(`${path}${end}`, `${aside}${end}`);
  renameSync(draft, path);
  return isThere ? aside : undefined;
}
