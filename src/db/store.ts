import type { Placeholder, SQL } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT, PgTable } from "drizzle-orm/pg-core";
import type { Dialect, Engine } from "./dialect.ts";

/** The builders a statement is made of: what both engines share, typed as PostgreSQL. */
export type Queries = Pick<PgDatabase<PgQueryResultHKT>, "select" | "selectDistinct" | "insert" | "update" | "delete">;

/** What a statement is built with, once per connection. `Params` names the values filled in at each run. */
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
export const statement = <Params, Row>(build: (s: Building<Params>) => PromiseLike<Row[]>): Statement<Params, Row> => ({
  build,
});

/**
 * The inside of a unit of work. Await nothing in it but `run`: on SQLite every other writer waits. A failed `run` fails
 * the whole unit, caught or not, as PostgreSQL has it.
 */
export interface Tx {
  run<Params extends Record<string, unknown>, Row>(statement: Statement<Params, Row>, params: Params): Promise<Row[]>;
  /**
   * Says that something about a topic changes with this unit: whoever listens to the store hears of it once the unit
   * is committed, in every instance, and of a unit that rolls back nobody does. A topic is short and names no person.
   */
  announce(topic: string): void;
}

/** Whom a unit is about, for those that must not run beside each other. */
export interface About {
  /** Names of subjects, in whatever form their users agree on. */
  readonly subjects: readonly string[];
  /** Whether it runs beside no other unit about one of them; without it, beside all but those that want this. */
  readonly alone?: boolean;
}

/** Whoever wants to hear of changes. Neither may throw. */
export interface Listener {
  /** A unit that announced the topic was committed, here or in another instance. */
  heard(topic: string): void;
  /** Announcements of other instances may have been missed: look at everything again. */
  missed(): void;
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
   * Has the files keep nothing of what was deleted, as far as the engine can: on SQLite everything in files of up to
   * 128 MiB, which are written anew here; of larger ones deleted bytes are overwritten, except copies in gaps of pages.
   * The log of pages is emptied. On PostgreSQL that is the work of its own vacuum and log.
   */
  scrub(): Promise<void>;
  /** Has a listener told of announcements until the returned function is called. Nothing is asked for again and again. */
  listen(listener: Listener): () => void;
  /** Copies the database, as it stands at one moment, to a new file; absent where the engine has tools of its own. */
  readonly backup?: (target: string, signal: AbortSignal) => Promise<void>;
  /** Finishes the units that were asked for, refuses further ones. */
  close(): Promise<void>;
}

/**
 * The store did not confirm the unit, which may be tried again later. Nothing of it holds, except where PostgreSQL's
 * connection broke during the commit itself: then nobody knows, and it is never reported as done.
 */
export class StoreUnavailable extends Error {
  override readonly name = "StoreUnavailable";
}

/** The unit lost against concurrent ones, repeatedly; read again and retry. */
export class StoreConflict extends Error {
  override readonly name = "StoreConflict";
}
