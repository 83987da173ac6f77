import { onTestFinished } from "vitest";
import type { Store } from "../../../src/db/store.ts";
import { createScheduler, type EndedRun } from "../../../src/schedule/scheduler.ts";
import type { Running, Task } from "../../../src/schedule/task.ts";

/** A task by the name of a real one, with a body of the test's own. */
export const taskFor = (run: Task["run"], name = "event_retention", schedule = "PT1H"): Task => ({
  ...{ name, schedule, run },
  description: "A task of a test.",
});

/** A run that goes on until the test lets it end. */
export function gate(count = 1) {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const begun: Running[] = [];
  return {
    begun,
    open,
    run: async (running: Running) => {
      begun.push(running);
      await opened;
      return count;
    },
  };
}

/** An instance that looks for what is due when the test says so. */
export function instanceOn(store: Store, clock: { readonly now: Date }, tasks: readonly Task[], instance = "one") {
  const runs: EndedRun[] = [];
  const troubles: unknown[] = [];
  const scheduler = createScheduler({
    ...{ store, tasks, instance, timeOf: async () => clock.now },
    onRun: (run) => runs.push(run),
    onTrouble: (error) => troubles.push(error),
  });
  onTestFinished(() => scheduler.stop());
  return {
    ...scheduler,
    runs,
    troubles,
    /** Looks once, and waits for what that began. */
    turn: async () => {
      await scheduler.look();
      await scheduler.settled();
    },
  };
}
