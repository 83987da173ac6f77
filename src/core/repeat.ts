/** A task that runs again and again. */
export interface Repeating {
  /** Runs it now, or once more after the present run. */
  wake(): void;
  /** Waits for the present run and starts no other. */
  stop(): Promise<void>;
}

/** Runs a task now and then periodically, never twice at once. Errors go to `onTrouble`; the next run is unaffected. */
export function repeat(task: () => Promise<void>, periodMs: number, onTrouble: (error: unknown) => void): Repeating {
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = false;

  const wake = () => {
    again = true;
    if (stopped || running !== undefined) return;
    running = (async () => {
      while (again && !stopped) {
        again = false;
        await task().catch(onTrouble);
      }
    })().finally(() => {
      running = undefined;
    });
  };
  const timer = setInterval(wake, periodMs);
  timer.unref();
  wake();
  return {
    wake,
    async stop() {
      stopped = true;
      clearInterval(timer);
      await running;
    },
  };
}
