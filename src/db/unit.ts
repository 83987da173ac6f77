import { AsyncLocalStorage } from "node:async_hooks";
import { type Statement, StoreUnavailable, type Tx } from "./store.ts";

/** Runs one statement on the unit's connection. */
export type Execute = <P, R>(statement: Statement<P, R>, params: Record<string, unknown>) => R[] | Promise<R[]>;

const SLOW_MS = 50;

/** A unit that runs. */
interface Running {
  open: boolean;
  /** When it has taken too long, by the process's own clock. */
  readonly due: number;
  fail(error: unknown): void;
}

/**
 * Fails units that take too long, by one timer for all: a timer for each cost as much as a statement. All have the same
 * time, so the first to have begun is the first to be due.
 */
function watchdog(unitTimeoutMs: number) {
  const running = new Set<Running>();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    timer = undefined;
    const now = performance.now();
    for (const unit of running) {
      if (unit.due > now) {
        arm(unit.due - now);
        return;
      }
      running.delete(unit);
      unit.fail(new StoreUnavailable(`A unit was not done after ${unitTimeoutMs} ms`));
    }
  }

  function arm(ms: number): void {
    timer = setTimeout(look, Math.ceil(ms));
    timer.unref(); // a process that has nothing else to do need not wait for it
  }

  return {
    watch(unit: Running): void {
      running.add(unit);
      if (timer === undefined) arm(unitTimeoutMs);
    },
    forget(unit: Running): void {
      running.delete(unit);
    },
  };
}

/**
 * The rules of units on both engines: no nesting, no late statements, one failed statement fails the unit, close waits.
 */
export function unitRules(unitTimeoutMs = 10_000, onSlowUnit?: (milliseconds: number) => void) {
  const current = new AsyncLocalStorage<{ open: boolean }>();
  const { watch, forget } = watchdog(unitTimeoutMs);
  let waiting = 0;
  let closing: Promise<void> | undefined;
  let whenIdle = () => {};

  /** Counts a unit from its request to its result. */
  async function admit<T>(unit: () => Promise<T>): Promise<T> {
    // A nested write would wait forever for the unit that waits for it.
    if (current.getStore()?.open) throw new Error("A unit of work inside a unit of work");
    if (closing !== undefined) throw new StoreUnavailable("The store is closed");
    waiting++;
    try {
      return await unit();
    } finally {
      if (--waiting === 0) whenIdle();
    }
  }

  /** Calls `work` with a Tx that is valid until it returns, and collects its announcements. */
  async function run<T>(
    execute: Execute,
    work: (tx: Tx) => Promise<T>,
    announced: Set<string> = new Set(),
  ): Promise<T> {
    const started = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const unit: Running = { open: true, due: started + unitTimeoutMs, fail: reject };
    let failure: { error: unknown } | undefined;
    const tx: Tx = {
      run: async (statement, params) => {
        // The statement would run in another unit.
        if (!unit.open) throw new Error("A statement after its unit ended: await every run");
        // PostgreSQL ignores everything after an error; SQLite may have left the transaction altogether.
        if (failure) throw new Error("A statement after one that failed", { cause: failure.error });
        try {
          return await execute(statement, params);
        } catch (error) {
          failure ??= { error };
          throw error;
        }
      },
      announce: (topic) => void announced.add(topic),
    };
    watch(unit);
    try {
      current.run(unit, work, tx).then(resolve, reject);
      const result = await promise;
      if (failure) throw failure.error;
      return result;
    } catch (error) {
      throw failure ? failure.error : error;
    } finally {
      unit.open = false;
      forget(unit);
      const elapsed = performance.now() - started;
      if (elapsed > SLOW_MS) onSlowUnit?.(elapsed);
    }
  }

  /** Admits no more units, waits for the admitted ones, then lets go of the connections. */
  const close = (release: () => Promise<void> | void): Promise<void> => {
    closing ??= new Promise<void>((resolve) => {
      whenIdle = resolve;
      if (waiting === 0) resolve();
    }).then(release);
    return closing;
  };

  return { admit, run, close };
}
