/** A task that runs again and again. */
export interface Repeating {
  /** Has it run now, or once more when it is running. */
  wake(): void;
  /** Lets the run under way end, and begins no other. */
  stop(): Promise<void>;
}

/** Runs a task now and every so often, never twice at once. What it throws is told, and it is tried again next time. */
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
