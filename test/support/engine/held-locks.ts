import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { onTestFinished } from "vitest";

const WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/**
 * A transaction beside the service on its PostgreSQL, that has run some statements and holds what they lock. Answers how
 * to wait until so many others wait for locks, and how to commit.
 */
export async function holding({ url }: { readonly url: string }, ...statements: string[]) {
  // Two: within a transaction PostgreSQL shows the activity as it was at the first look.
  const [holder, looker] = [new pg.Client({ connectionString: url }), new pg.Client({ connectionString: url })];
  for (const client of [holder, looker]) {
    await client.connect();
    onTestFinished(() => client.end());
  }
  for (const statement of ["BEGIN", ...statements]) await holder.query(statement);
  return {
    isWaitedFor: async (count = 1) => {
      while ((await looker.query(WAITING)).rows.length < count) await sleep(5);
    },
    commit: () => holder.query("COMMIT"),
  };
}
