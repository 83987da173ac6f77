import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Database } from "better-sqlite3";
import { StoreUnavailable } from "./store.ts";

/** How the queue of writers behaves. */
export interface GroupCommitOptions {
  /** Units that share one commit at most, so that a long queue cannot keep the event loop. */
  readonly batchSize: number;
  /** How long a unit waits while another process holds the file's lock. */
  readonly busyTimeoutMs: number;
}

interface Job {
  run(): Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  readonly giveUp: number;
}

const BUSY_PAUSE_MS = 15;

const isBusy = (error: unknown): boolean =>
  error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");

/**
 * The writers' queue of a SQLite connection: all units that wait at the same moment share one transaction and so one
 * fsync, each in a savepoint of its own. Nobody is answered before the commit that holds their unit.
 */
export function groupCommit(connection: Database, { batchSize, busyTimeoutMs }: GroupCommitOptions) {
  const begin = connection.prepare("BEGIN IMMEDIATE");
  const commit = connection.prepare("COMMIT");
  const rollback = connection.prepare("ROLLBACK");
  const savepoint = connection.prepare("SAVEPOINT unit");
  const release = connection.prepare("RELEASE unit");
  const undo = connection.prepare("ROLLBACK TO unit");
  let queue: Job[] = [];
  const pauses: (() => Promise<void>)[] = [];
  let draining = false;

  /** Opens the transaction. On a foreign lock it pauses without blocking anybody, and lets go of those who waited long. */
  async function begun(): Promise<boolean> {
    try {
      // Left over only if a rollback failed too; without this every later BEGIN would fail.
      if (connection.inTransaction) rollback.run();
      begin.run();
      return true;
    } catch (cause) {
      const now = performance.now();
      const { lost = [], waiting = [] } = Object.groupBy(queue, (job) =>
        isBusy(cause) && now < job.giveUp ? "waiting" : "lost",
      );
      queue = waiting;
      for (const job of lost) job.reject(new StoreUnavailable("The database cannot be written to", { cause }));
      if (queue.length > 0) await sleep(BUSY_PAUSE_MS);
      return false;
    }
  }

  /** Runs one unit in its savepoint and returns how to answer it; throws when the transaction itself is lost. */
  async function inSavepoint(job: Job): Promise<() => void> {
    savepoint.run();
    let answer: () => void;
    try {
      const value = await job.run();
      answer = () => job.resolve(value);
    } catch (error) {
      // A full disk or an I/O error makes SQLite roll back everything, the units before this one included.
      if (!connection.inTransaction) throw error;
      undo.run();
      answer = () => job.reject(error);
    }
    release.run();
    return answer;
  }

  async function commitTogether(jobs: Job[]): Promise<void> {
    const answers: (() => void)[] = [];
    try {
      for (const job of jobs) answers.push(await inSavepoint(job));
      commit.run();
    } catch (cause) {
      // Also those that threw on their own account: they may have seen rows that are no more.
      for (const job of jobs) job.reject(new StoreUnavailable("The database did not commit", { cause }));
      try {
        if (connection.inTransaction) rollback.run();
      } catch {
        // Tried again before the next BEGIN.
      }
      return;
    }
    for (const answer of answers) answer();
  }

  async function drain(): Promise<void> {
    do {
      await nextTurn(); // requests of one turn meet in one batch, and I/O has its turn between batches
      for (const pause of pauses.splice(0)) await pause();
      if (queue.length > 0 && (await begun())) await commitTogether(queue.splice(0, batchSize));
    } while (queue.length > 0 || pauses.length > 0);
    draining = false;
  }

  const start = () => {
    if (draining) return;
    draining = true;
    void drain();
  };

  /** Queues a unit; settles after its commit. */
  const enqueue = <T>(work: () => Promise<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const inContext = AsyncLocalStorage.snapshot(); // the queue runs in the first caller's context, the unit in its own
      queue.push({
        run: () => inContext(work),
        resolve: resolve as (value: unknown) => void, // given back what `work` made, which is a T
        reject,
        giveUp: performance.now() + busyTimeoutMs,
      });
      start();
    });

  /** Runs what no transaction may be open for, between two of them: writers wait until it has ended. */
  const between = <T>(act: () => T | Promise<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      pauses.push(async () => {
        try {
          resolve(await act());
        } catch (cause) {
          reject(new StoreUnavailable("The database did not do it", { cause }));
        }
      });
      start();
    });

  return { enqueue, between };
}
