import Database from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { drizzle as drizzlePostgres } from "drizzle-orm/node-postgres";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { preparer } from "../../src/db/prepare.ts";
import { describedStatements, type Queries } from "../../src/db/store.ts";
import "../../src/server.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { filling } from "../support/engine/filled.ts";

/** What drizzle prepared, as far as its text goes. */
interface Prepared {
  readonly query: { readonly sql: string; readonly params: readonly unknown[] };
}

/** The same on PostgreSQL, under one of two names. */
interface OnPostgres {
  readonly rawQueryConfig?: { readonly text: string };
  readonly queryConfig: { readonly text: string };
}

const [sqlite, postgres] = engines;

/** A connection of its own to a migrated SQLite database. */
async function sqliteConnection(...statements: string[]): Promise<Database.Database> {
  if (sqlite?.name !== "sqlite") throw new Error("the first engine is SQLite");
  const { url, execute } = await openForTest(sqlite);
  await execute(...statements);
  const connection = new Database(url.slice("sqlite:".length));
  onTestFinished(() => void connection.close());
  return connection;
}

/** Every statement of the service as SQLite is given it; that of PostgreSQL's clock is no SQL to it. */
function statementsOf(connection: Database.Database): Prepared["query"][] {
  const prepare = preparer("sqlite", drizzle(connection) as unknown as Queries);
  const foreign: string[] = [];
  const found = describedStatements().flatMap((statement) => {
    try {
      return [(prepare(statement) as unknown as Prepared).query];
    } catch (error) {
      foreign.push(String(error));
      return [];
    }
  });
  expect(foreign).toEqual(['SqliteError: near "from": syntax error']);
  expect(found.length).toBeGreaterThan(300);
  return found;
}

test("SQLite plans a parameter behind a plus once, and a bare one again for what is bound to it", async () => {
  const connection = await sqliteConnection();
  connection.exec(`
    create table t (kind text not null, body text not null);
    create index t_by_kind on t (kind);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
      insert into t select iif(i % 2 = 0, 'usual', 'rare-' || i), hex(randomblob(40)) from n;
    analyze;`);
  const planOf = (parameter: string, value: string) =>
    connection
      .prepare<[string], { detail: string }>(
        `explain query plan select * from t where kind = ${parameter} order by body`,
      )
      .all(value)
      .map(({ detail }) => detail);
  expect(planOf("?", "usual")).not.toEqual(planOf("?", "rare-1"));
  expect(planOf("+?", "usual")).toEqual(planOf("+?", "rare-1"));
  expect(planOf("+?", "rare-1")[0]).toBe("SEARCH t USING INDEX t_by_kind (kind=?)");
});

test("no statement of the service is planned anew when it is run on SQLite", async () => {
  const bare = statementsOf(await sqliteConnection()).filter(({ sql }) => /(?<!\+)\?/.test(sql));
  expect(bare.map(({ sql }) => sql)).toEqual([]);
});

/** Tables that are read or sorted whole by some statement, each with the reason why that stays cheap. */
const WHOLE: Readonly<Record<string, string>> = {
  assertion_keys: "a key a quarter, and few are kept",
  attempts: "administrators page through the counters that lock at present",
  audit_entries: "PostgreSQL sorts what a page's span of sequence numbers holds",
  data_keys: "a key a tenant",
  enforcement_rules: "an administrator's list",
  installation: "one row",
  ip_whitelist: "an administrator's list",
  key_checks: "a row a key of the key file",
  push_blocks: "statistics of a span of time that the caller names",
  push_challenges: "statistics of a span of time that the caller names",
  scheduled_tasks: "a row a task",
  service_keys: "an administrator's list",
  tenant_settings: "a row a tenant, read at the start",
  tombstones: "the ledger of erasures is compared with all of them",
  webhook_endpoints: "an administrator's list",
};

/** What is wrong with a plan, if anything, for a statement on tables of any size. */
type Fault = "reads all of" | "sorts" | "does not look by the user in";

const tableOf = (sql: string): string => /\b(?:from|into|update) "(\w+)"/.exec(sql)?.[1] ?? "";

/** A statement about one user: a condition on the user that has no alternative. */
const isOfUser = (sql: string): boolean => /(?:where|and) \(*"\w+"\."user_id" = (?:\+\?|\$\d+)/.test(sql);

const isLed = (plan: string): boolean => /\b(?:user_id|device_id|decision_id|message_id|prompt_id)"? ?=/.test(plan);

const faultsOf = (sql: string, plan: string, { scan, sort }: { scan: RegExp; sort: RegExp }): string[] => {
  const faults: Fault[] = [];
  if (scan.test(plan)) faults.push("reads all of");
  else if (isOfUser(sql) && !isLed(plan)) faults.push("does not look by the user in");
  // A user has few rows of anything that is listed whole.
  if (sort.test(plan) && !isLed(plan)) faults.push("sorts");
  return faults.map((fault) => `${fault} ${tableOf(sql)}`);
};

const isFaultOfGrowing = (fault: string): boolean => !Object.keys(WHOLE).some((table) => fault.endsWith(` ${table}`));

const SQLITE = { scan: /^SCAN (?!\d+-ROW VALUES|\(subquery|due$|CONSTANT)/m, sort: /USE TEMP B-TREE/ };
const POSTGRES = {
  scan: /Seq Scan|Index (?:Only )?Scan (?!.*\n\s*(?:Index|Recheck) Cond)/,
  sort: /^\s*(?:-> +)?Sort /m,
};

test.each([
  { title: "as SQLite plans before it knows its tables", analyzed: false },
  { title: "as SQLite plans for tables that it knows", analyzed: true },
])("no statement reads or sorts a table that grows, $title", async ({ analyzed }) => {
  const connection = await sqliteConnection(...filling("sqlite").slice(0, analyzed ? undefined : -1));
  const faults = statementsOf(connection).flatMap(({ sql, params }) => {
    const steps = connection.prepare<unknown[], { detail: string }>(`explain query plan ${sql}`);
    const plan = steps.all(...params.map(() => null)).map(({ detail }) => detail);
    return faultsOf(sql, plan.join("\n"), SQLITE);
  });
  expect([...new Set(faults)].filter(isFaultOfGrowing).sort()).toEqual([]);
});

test("no statement reads or sorts a table that grows, as PostgreSQL plans where an index serves", async () => {
  if (!postgres) throw new Error("the second engine is PostgreSQL");
  const { url, execute } = await openForTest(postgres);
  await execute(...filling("postgres"));
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query("set enable_seqscan = off");
  const prepare = preparer("postgres", drizzlePostgres(client) as unknown as Queries);
  const faults: string[] = [];
  for (const statement of describedStatements()) {
    const { rawQueryConfig, queryConfig } = prepare(statement) as unknown as OnPostgres;
    const { text } = rawQueryConfig ?? queryConfig;
    const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain (generic_plan) ${text}`);
    faults.push(...faultsOf(text, rows.map((row) => row["QUERY PLAN"]).join("\n"), POSTGRES));
  }
  expect([...new Set(faults)].filter(isFaultOfGrowing).sort()).toEqual([]);
});
