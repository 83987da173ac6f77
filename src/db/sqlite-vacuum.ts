import { once } from "node:events";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";

/** Runs in a thread: the driver works synchronously, and reads are to go on meanwhile. */
const VACUUM = `
const { workerData: { driver, path, pragmas } } = require("node:worker_threads");
const connection = new (require(driver))(path, { timeout: 1_000, fileMustExist: true });
try {
  for (const pragma of pragmas) connection.pragma(pragma);
  connection.exec("VACUUM");
  connection.pragma("wal_checkpoint(TRUNCATE)");
} finally {
  connection.close();
}
`;

/**
 * Writes a SQLite file anew, without what its pages hold beside rows: splitting a page leaves copies of rows in its gap,
 * which `secure_delete` does not reach when the rows are deleted. Nobody may write meanwhile. Needs as much memory as
 * the file is large.
 */
export async function vacuumSqlite(path: string, pragmas: readonly string[]): Promise<void> {
  const driver = createRequire(import.meta.url).resolve("better-sqlite3");
  const worker = new Worker(VACUUM, { eval: true, execArgv: [], workerData: { driver, path, pragmas } });
  await once(worker, "exit"); // rejects with what the thread threw
}
