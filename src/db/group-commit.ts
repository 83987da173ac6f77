import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Database } from "better-sqlite3";
import { StoreDamaged, StoreUnavailable } from "./store.ts";

/** The settings of the writers' queue. */
export interface GroupCommitOptions {
  /** The most units that share one commit, so that a long queue does not block the event loop. */
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

const isDamage = (error: unknown): boolean =>
  error instanceof Error && "code" in error && /^SQLITE_(CORRUPT|NOTADB)/.test(String(error.code));

/** The transaction was lost; the cause, for the units that were in it. */
const lossOf = (text: string, cause: unknown) =>
  cause instanceof StoreDamaged || isDamage(cause)
    ? new StoreDamaged(text, { cause })
    : new StoreUnavailable(text, { cause });

const isBusy = (error: unknown): boolean =>
  error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");

/**
 * The writers' queue of a SQLite connection: units that wait at the same moment share one transaction and so one fsync,
 * each in a savepoint of its own unless it is the only one. No unit resolves before the commit that holds it.
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

  /**
   * Opens the transaction. While another process holds the lock it pauses without blocking, and fails units that have
   * waited long.
   */
  async function begun(): Promise<boolean> {
    try {
      // A transaction is open here only if a rollback failed; without this every later BEGIN would fail.
      if (connection.inTransaction) rollback.run();
      begin.run();
      return true;
    } catch (cause) {
      const now = performance.now();
      const { lost = [], waiting = [] } = Object.groupBy(queue, (job) =>
        isBusy(cause) && now < job.giveUp ? "waiting" : "lost",
      );
      queue = waiting;
      for (const job of lost) job.reject(lossOf("The database cannot be written to", cause));
      if (queue.length > 0) await sleep(BUSY_PAUSE_MS);
      return false;
    }
  }

  /** Runs one unit in its savepoint and returns how to settle it; throws when the transaction itself is lost. */
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

  /** Runs a unit that has a transaction to itself: without a savepoint, since it is undone with the transaction. */
  async function runAlone(job: Job): Promise<() => void> {
    let value: unknown;
    try {
      value = await job.run();
    } catch (error) {
      if (!connection.inTransaction) throw error;
      rollback.run();
      return () => job.reject(error);
    }
    commit.run();
    return () => job.resolve(value);
  }

  async function runTogether(jobs: readonly Job[]): Promise<(() => void)[]> {
    const answers: (() => void)[] = [];
    for (const job of jobs) answers.push(await inSavepoint(job));
    commit.run();
    return answers;
  }

  async function commitTogether(jobs: Job[]): Promise<void> {
    const [first, ...others] = jobs;
    let answers: (() => void)[];
    try {
      answers = first && others.length === 0 ? [await runAlone(first)] : await runTogether(jobs);
    } catch (cause) {
      // Also the units that threw by themselves: they may have read rows that are rolled back.
      for (const job of jobs) job.reject(lossOf("The database did not commit", cause));
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

  /** Runs work between two transactions, for which none may be open; writers wait until it ends. */
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
