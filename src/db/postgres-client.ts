import { createHash } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { assertDefined, driverError, type PreparedQuery, preparer, rowsOf } from "./prepare.ts";
import { type About, type Queries, type Statement, StoreConflict, StoreDamaged, StoreUnavailable } from "./store.ts";
import type { Execute } from "./unit.ts";

/** Serialization failures and deadlocks: the same unit may succeed when run again. */
const LOST = new Set(["40001", "40P01"]);
/** data_corrupted, index_corrupted. */
const DAMAGE = new Set(["XX001", "XX002"]);
/** SQLSTATE classes of a server or connection in trouble, our own time limits, and Node's network errors. */
const OUTAGES = /^(08|53|57P|57014|25P03|55P03|58|XX|E(?!RR_))/;
/** The same from `pg` itself, which gives no codes. */
const PG_OUTAGES = /timeout|Connection terminated|not queryable/i;

/** Translates a driver's error for the caller of a unit. */
export function translate(thrown: unknown, reading: boolean): unknown {
  const error = driverError(thrown);
  if (!(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (LOST.has(code)) return new StoreConflict("Lost against concurrent units", { cause: error });
  if (DAMAGE.has(code)) return new StoreDamaged("PostgreSQL found damaged data", { cause: error });
  // A write that reaches a standby came too early after a failover; a write in a read unit is a fault of ours.
  const isStandby = code === "25006" && !reading;
  if (isStandby || (code ? OUTAGES.test(code) : PG_OUTAGES.test(error.message))) {
    return new StoreUnavailable("PostgreSQL failed", { cause: error });
  }
  // `detail` quotes the row, which may hold a secret, and loggers print it.
  if (error instanceof pg.DatabaseError) error.detail = undefined;
  return error;
}

type Prepare = <P, R>(statement: Statement<P, R>) => PreparedQuery;
const preparers = new WeakMap<pg.ClientBase, Prepare>();

/** Statements are prepared on the client itself: prepared on the pool they would run outside the transaction. */
function preparing(client: pg.ClientBase): Prepare {
  let prepare = preparers.get(client);
  if (!prepare) {
    prepare = preparer("postgres", drizzle(client as pg.Client) as Queries);
    preparers.set(client, prepare);
  }
  return prepare;
}

/** Runs one query at a time, as `pg` demands of a client, even when a unit runs several at once. */
export function executing(
  client: pg.ClientBase,
  reading: boolean,
): { execute: Execute; settled: () => Promise<unknown> } {
  const prepare = preparing(client);
  let last: Promise<unknown> = Promise.resolve();
  const execute: Execute = (statement, params) => {
    const rows = last.then(async () => {
      assertDefined(params);
      try {
        return rowsOf<never>(await prepare(statement).execute(params));
      } catch (error) {
        throw translate(error, reading);
      }
    });
    last = rows.catch(() => {});
    return rows;
  };
  return { execute, settled: () => last };
}

/** Takes the advisory locks of a unit's subjects, in one order for all units. Held until the unit ends. */
function locksOf({ subjects, alone = false }: About): string {
  const lock = `pg_advisory_xact_lock${alone ? "" : "_shared"}`;
  const keys = subjects.map((subject) => createHash("sha256").update(subject).digest().readBigInt64BE());
  const sorted = [...new Set(keys)].sort((a, b) => (a < b ? -1 : 1));
  return sorted.map((key) => `; SELECT ${lock}(${key})`).join("");
}

async function query(client: pg.PoolClient, text: string, reading: boolean): Promise<string> {
  try {
    return (await client.query(text)).command;
  } catch (error) {
    throw translate(error, reading);
  }
}

/** Lends a client to `work`; one that failed it, or may be in an unknown state, is not lent again. */
export async function withClient<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (cause) {
    throw new StoreUnavailable("No connection to PostgreSQL", { cause });
  }
  let broken: Error | undefined;
  try {
    return await work(client);
  } catch (error) {
    if (error instanceof StoreUnavailable) broken = error;
    throw error;
  } finally {
    client.release(broken);
  }
}

/** The COMMIT was sent and not answered: whether it holds nobody knows, nor when it will, if it does. */
export class CommitUnknown extends StoreUnavailable {}

/** Runs `work` between BEGIN and COMMIT. Not drizzle's `transaction`: a failed BEGIN there leaks its client. */
export async function transaction<T>(
  client: pg.PoolClient,
  about: About | undefined,
  work: () => Promise<T>,
): Promise<T> {
  let result: T;
  try {
    // One message to the server; the locks are there before the first statement looks at anything.
    await query(client, `BEGIN${about ? locksOf(about) : ""}`, false);
    result = await work();
  } catch (error) {
    // A broken client is thrown away, and its transaction with it; a query on it would only wait for another time limit.
    if (!(error instanceof StoreUnavailable)) await query(client, "ROLLBACK", false);
    throw error;
  }
  const command = await query(client, "COMMIT", false).catch((error: unknown) => {
    throw error instanceof StoreUnavailable
      ? new CommitUnknown("PostgreSQL did not answer a COMMIT", { cause: error })
      : error;
  });
  // PostgreSQL answers the COMMIT of a failed transaction politely, with a rollback.
  if (command !== "COMMIT") throw new StoreUnavailable(`PostgreSQL answered COMMIT with ${command}`);
  return result;
}
