import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "better-sqlite3";
import { vacuumSqlite } from "./sqlite-vacuum.ts";
import { LogHeldUp } from "./store.ts";

/** Runs work for which no transaction may be open. */
type Between = <T>(act: () => T | Promise<T>) => Promise<T>;

/** Of 4 KiB: larger files are not written anew for each erasure, as writers would wait for seconds. */
const MAX_VACUUM_PAGES = 32_768;
const ATTEMPTS = 20;
const PAUSE_MS = 100;
/** The pause before a blocked run is tried again. */
const AGAIN_MS = 1_000;

/**
 * Rids the files of a SQLite database of what was deleted. A backup of our own reads the file for as long as it takes:
 * meanwhile a run is promised and not waited for. It follows the last backup; where the process ends before, its
 * successor makes up for it (`privacy/erasure.ts`).
 */
export function createScrub(
  writer: Database,
  between: Between,
  { path, pragmas }: { path: string; pragmas: string[] },
) {
  const copies = new Set<Promise<unknown>>();
  let isOwed = false;
  let paying: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  /** Checkpoints and truncates the WAL; returns false while a backup of ours reads it. */
  async function emptyLog(): Promise<boolean> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const [found] = await between(() => writer.pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[]);
      if (found?.busy === 0) return true;
      if (copies.size > 0) return false;
      await sleep(PAUSE_MS);
    }
    throw new LogHeldUp("The log of pages cannot be emptied: another process reads the file");
  }

  async function run(): Promise<void> {
    isOwed = true;
    if (copies.size > 0) return;
    await between(async () => {
      const pages = writer.pragma("page_count", { simple: true }) as number;
      if (pages <= MAX_VACUUM_PAGES) await vacuumSqlite(path, pragmas);
    });
    if (await emptyLog()) isOwed = false;
  }

  let last: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  /** A request during a run waits for the next run, since a run does not cover what was deleted after its start. */
  const scrub = (): Promise<void> => {
    next ??= last
      .catch(() => {})
      .then(() => {
        next = undefined;
        last = run().finally(payLater);
        return last;
      });
    return next;
  };

  /** Makes up for a postponed run once no backup is running. */
  const pay = (): Promise<void> => {
    clearTimeout(timer);
    if (!isOwed || copies.size > 0) return Promise.resolve();
    paying ??= scrub()
      .catch(() => {}) // still postponed
      .finally(() => {
        paying = undefined;
      });
    return paying;
  };

  function payLater(): void {
    clearTimeout(timer);
    if (isOwed && copies.size === 0) timer = setTimeout(pay, AGAIN_MS).unref();
  }

  return {
    scrub,
    /** Postpones runs until a backup of ours has ended. */
    beside<T>(copy: Promise<T>): Promise<T> {
      copies.add(copy);
      const over = () => {
        copies.delete(copy);
        void pay();
      };
      copy.then(over, over);
      return copy;
    },
    /** Makes up for a postponed run if that is possible now, and starts no other. */
    async end(): Promise<void> {
      await pay();
      clearTimeout(timer);
    },
  };
}
