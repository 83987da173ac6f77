import * as pg from "drizzle-orm/pg-core";
import * as lite from "drizzle-orm/sqlite-core";

/**
 * A view on the same memory, since drivers differ in whether they take a bare Uint8Array. A text or number that
 * somebody wrote into a column of bytes is read as other bytes, without a failure.
 */
const toBuffer = (bytes: Uint8Array): Buffer =>
  bytes instanceof Uint8Array
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : Buffer.from(String(bytes), "utf8");

const pgBytes = pg.customType<{ data: Buffer; driverData: Uint8Array }>({
  dataType: () => "bytea",
  toDriver: toBuffer,
  fromDriver: toBuffer,
});

const liteBytes = lite.customType<{ data: Buffer; driverData: Uint8Array }>({
  dataType: () => "blob",
  toDriver: toBuffer,
  fromDriver: toBuffer,
});

/**
 * `json` and not `jsonb`: we write and read it whole, so it is to come back exactly as it went in. Not drizzle's own
 * column either: that parses a string a second time after the driver, and the text "12" would return as a number.
 */
const pgJson = <T>(name: string) =>
  pg.customType<{ data: T; driverData: unknown }>({
    dataType: () => "json",
    toDriver: (value) => JSON.stringify(value),
    fromDriver: (value) => value as T, // the driver has parsed it; its type is the caller's word
  })(name);

const postgres = {
  table: pg.pgTable,
  index: pg.index,
  uniqueIndex: pg.uniqueIndex,
  primaryKey: pg.primaryKey,
  text: (name: string) => pg.text(name),
  integer: (name: string) => pg.integer(name),
  /** A number that outgrows 32 bits: a WebAuthn signature counter, a sequence. */
  counter: (name: string) => pg.bigint(name, { mode: "number" }),
  boolean: (name: string) => pg.boolean(name),
  /** A point in time, to the millisecond, as a Date. */
  instant: (name: string) => pg.timestamp(name, { withTimezone: true, precision: 3, mode: "date" }),
  bytes: (name: string) => pgBytes(name),
  /** JSON, opaque to SQL: written and read whole. */
  json: pgJson,
};

/** The column types of table definitions, for both engines. Typed as PostgreSQL, the stricter of the two. */
export type Dialect = typeof postgres;

// Same keys as Dialect, or it does not compile; what each makes is proven by test/storage/contract.ts.
const sqlite: Record<keyof Dialect, unknown> = {
  table: lite.sqliteTable,
  index: lite.index,
  uniqueIndex: lite.uniqueIndex,
  primaryKey: lite.primaryKey,
  text: (name: string) => lite.text(name),
  integer: (name: string) => lite.integer(name),
  counter: (name: string) => lite.integer(name),
  boolean: (name: string) => lite.integer(name, { mode: "boolean" }),
  instant: (name: string) => lite.integer(name, { mode: "timestamp_ms" }),
  bytes: (name: string) => liteBytes(name),
  json: (name: string) => lite.text(name, { mode: "json" }),
};

/** A table of either engine. */
export type AnyTable = pg.PgTable;

/** A definition of a table. */
export type Define<T extends AnyTable = AnyTable> = (d: Dialect) => T;

/** The engines' names, as `Store.engine` has them. */
export type Engine = "sqlite" | "postgres";

/** Both dialects. The cast is the one place where SQLite passes for PostgreSQL. */
export const dialects: Record<Engine, Dialect> = { postgres, sqlite: sqlite as Dialect };

const instances: Record<Engine, Map<unknown, unknown>> = { postgres: new Map(), sqlite: new Map() };

/** The table of a definition in an engine's dialect: one instance each, since drizzle compares tables by identity. */
export const tableIn =
  (engine: Engine) =>
  <T>(define: (d: Dialect) => T): T => {
    const made = instances[engine];
    if (!made.has(define)) made.set(define, define(dialects[engine]));
    return made.get(define) as T; // stored under its own definition, whose result is T
  };
