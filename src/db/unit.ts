import { AsyncLocalStorage } from "node:async_hooks";
import { type Statement, StoreUnavailable, type Tx } from "./store.ts";

/** Runs one statement on the connection that the unit was given. */
export type Execute = <P, R>(statement: Statement<P, R>, params: Record<string, unknown>) => R[] | Promise<R[]>;

const SLOW_MS = 50;

/** The rules every unit keeps on both engines: no nesting, no stragglers, one failed statement fails it, close waits. */
export function unitRules(unitTimeoutMs = 10_000, onSlowUnit?: (milliseconds: number) => void) {
  const current = new AsyncLocalStorage<{ open: boolean }>();
  let waiting = 0;
  let closing: Promise<void> | undefined;
  let whenIdle = () => {};

  /** Admits a unit, from the request for it until its answer. */
  async function admit<T>(unit: () => Promise<T>): Promise<T> {
    // A nested write would wait for the unit that waits for it, for ever.
    if (current.getStore()?.open) throw new Error("A unit of work inside a unit of work");
    if (closing !== undefined) throw new StoreUnavailable("The store is closed");
    waiting++;
    try {
      return await unit();
    } finally {
      if (--waiting === 0) whenIdle();
    }
  }

  /** Calls `work` with a Tx that is good until it returns, and collects what it announces. */
  async function run<T>(
    execute: Execute,
    work: (tx: Tx) => Promise<T>,
    announced: Set<string> = new Set(),
  ): Promise<T> {
    const unit = { open: true };
    const started = performance.now();
    let failure: { error: unknown } | undefined;
    let timer: NodeJS.Timeout | undefined;
    const tx: Tx = {
      run: async (statement, params) => {
        // It would land in somebody else's unit.
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
    const timeout = new Promise<never>((_, reject) => {
      // The error is made when it is needed: its stack would cost each unit more than its statements.
      timer = setTimeout(
        () => reject(new StoreUnavailable(`A unit was not done after ${unitTimeoutMs} ms`)),
        unitTimeoutMs,
      );
    });
    try {
      const result = await Promise.race([current.run(unit, () => work(tx)), timeout]);
      if (failure) throw failure.error;
      return result;
    } catch (error) {
      throw failure ? failure.error : error;
    } finally {
      unit.open = false;
      clearTimeout(timer);
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
