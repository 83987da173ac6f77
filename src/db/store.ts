import type { Placeholder, SQL } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT, PgTable } from "drizzle-orm/pg-core";
import type { Dialect, Engine } from "./dialect.ts";

/** The builders a statement is made of: what both engines share, typed as PostgreSQL. */
export type Queries = Pick<PgDatabase<PgQueryResultHKT>, "select" | "selectDistinct" | "insert" | "update" | "delete">;

/** The builder of a statement, used once per connection. `Params` names the values filled in at each run. */
export interface Building<Params> {
  readonly db: Queries;
  /** The table of a definition in this engine's dialect; one instance a definition. */
  table<T>(define: (d: Dialect) => T): T;
  /** A value filled in at each run, encoded as the column's type on both engines. */
  param<T>(name: keyof Params & string, column: { readonly _: { readonly data: T } }): SQL<T>;
  /** Every column of a table filled in at each run, under the columns' names: the values of an insert. */
  row<T extends PgTable>(table: T): T["$inferInsert"];
  /** A number filled in at each run, for `.limit`, which has no column to encode it as. */
  limit(name: keyof Params & string): Placeholder;
}

/** A query described once and prepared once per connection: building one costs ten times what running it does. */
export interface Statement<Params, Row> {
  readonly build: (s: Building<Params>) => PromiseLike<Row[]>;
}

/**
 * Describes a statement: `statement((s: Building<{ userId: string }>) => s.db.select()…)`. Call it at the top of a
 * module, never per request: each description stays prepared on every connection that ran it.
 */
export function statement<Params, Row>(build: (s: Building<Params>) => PromiseLike<Row[]>): Statement<Params, Row> {
  const made = { build };
  described.push(made);
  return made;
}

const described: Statement<never, unknown>[] = [];

/** Every statement of the modules that are loaded, for those who judge them all: the tests of plans. */
export const describedStatements = (): readonly Statement<never, unknown>[] => described;

/**
 * The inside of a unit of work. Await nothing in it but `run`: on SQLite every other writer waits. A failed `run` fails
 * the whole unit, caught or not, as PostgreSQL has it.
 */
export interface Tx {
  run<Params extends Record<string, unknown>, Row>(statement: Statement<Params, Row>, params: Params): Promise<Row[]>;
  /**
   * Announces a change of a topic: listeners in every instance are called after the commit, and never for a rolled-back
   * unit. A topic is short and names no person.
   */
  announce(topic: string): void;
}

/** Whose factor data a row is: the first columns of every such table's key. */
export type Owner = {
  readonly tenantId: string;
  readonly userId: string;
};

/** The subjects of a unit, for units that must not run concurrently. */
export interface About {
  /** The subjects' names, in any form that the units share. */
  readonly subjects: readonly string[];
  /** Whether the lock is exclusive; otherwise it is shared. */
  readonly alone?: boolean;
}

/** A listener for announcements. Neither method may throw. */
export interface ChangeListener {
  /** A unit that announced the topic has committed, in this or another instance. */
  onTopic(topic: string): void;
  /** Announcements of other instances may have been missed: read everything again. */
  onGap(): void;
}

/**
 * A database. Queries exist only inside a unit: `read` cannot write, and `write` answers after its commit. Units do not
 * nest. `work` may run again after losing to a concurrent unit, so it changes nothing but the database.
 */
export interface Store {
  readonly engine: Engine;
  /** Each statement sees what was committed when it ran; a read of several is not a snapshot. */
  read<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Commits when `work` returns, whatever it returns; rolls back when it throws. */
  write<T>(work: (tx: Tx) => Promise<T>, about?: About): Promise<T>;
  /**
   * Removes deleted data from the files. SQLite files of up to 128 MiB are rewritten; in larger ones deleted bytes are
   * overwritten, except copies in gaps of pages. The WAL is truncated; while a backup of ours reads it, after the
   * backup. Fails with `LogHeldUp` where another process keeps the WAL in use, and retries by itself. On PostgreSQL
   * vacuum and WAL recycling do this.
   */
  scrub(): Promise<void>;
  /** Calls a listener for announcements until the returned function is called. Nothing is polled. */
  listen(listener: ChangeListener): () => void;
  /** Copies a snapshot of the database to a new file; absent where the engine has tools of its own. */
  readonly backup?: (target: string, signal: AbortSignal) => Promise<void>;
  /** Finishes accepted units and refuses further ones. */
  close(): Promise<void>;
}

/**
 * The store did not confirm the unit; it may be tried again later. It was not committed, except possibly where
 * PostgreSQL's connection broke during the commit itself; it is never reported as done.
 */
export class StoreUnavailable extends Error {
  override readonly name: string = "StoreUnavailable";
}

/** Another process keeps deleted data in the files. The database serves, and the unit is committed. */
export class LogHeldUp extends StoreUnavailable {}

/**
 * The database's pages or indexes are damaged where the unit read or wrote: a retry does not help, a backup has to be
 * restored. The unit was not committed.
 */
export class StoreDamaged extends Error {
  override readonly name = "StoreDamaged";
}

/** The unit lost against concurrent units repeatedly; read again and retry. */
export class StoreConflict extends Error {
  override readonly name = "StoreConflict";
}
