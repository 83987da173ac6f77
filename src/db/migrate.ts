import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Database } from "better-sqlite3";
import type { Client } from "pg";
import { guards } from "./append-only.ts";
import type { Engine } from "./dialect.ts";
import { type Mode, requireMode } from "./installation.ts";

/** Where an engine's migrations are: beside this file, and beside the bundle when we run as one. */
export const migrationsFolder = (engine: Engine): string =>
  fileURLToPath(new URL(`./migrations/${engine}`, import.meta.url));

/** Who may refuse a database before anything is changed in it. */
export interface Acceptance {
  /** The mode it must be marked with, if it is marked. */
  readonly mode?: Mode;
  /** Looks at the rows of a table, none where there is no such table yet, and throws what stops the start. */
  readonly inspect?: Inspection;
}

/** A look at one table. */
export interface Inspection {
  readonly table: string;
  check(rows: readonly Readonly<Record<string, unknown>>[]): void;
}

interface Migration {
  readonly name: string;
  readonly hash: string;
  readonly statements: string[];
}

const CREATE = "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, hash text NOT NULL)";
const APPLIED = "SELECT name, hash FROM migrations";

/** The migrations of a folder as drizzle-kit writes it, oldest first. */
function readMigrations(folder: string): Migration[] {
  const journal = JSON.parse(readFileSync(join(folder, "meta", "_journal.json"), "utf8"));
  return (journal.entries as { tag: string }[]).map(({ tag }) => {
    const text = readFileSync(join(folder, `${tag}.sql`), "utf8");
    return {
      name: tag,
      hash: createHash("sha256").update(text).digest("hex"),
      statements: text.split("--> statement-breakpoint"),
    };
  });
}

/**
 * Those not yet applied. One that was changed afterwards is refused, and so is a database with one that we do not know:
 * nobody here knows what such a database looks like.
 */
function pending(migrations: Migration[], applied: { name: string; hash: string }[]): Migration[] {
  const ours = new Set(migrations.map(({ name }) => name));
  const unknown = applied.find(({ name }) => !ours.has(name));
  if (unknown) {
    throw new Error(
      `this database is newer than this version of the service, which does not know migration ${unknown.name}; ` +
        "start the version that migrated it, or a later one",
    );
  }
  const hashes = new Map(applied.map(({ name, hash }) => [name, hash]));
  return migrations.filter(({ name, hash }) => {
    const known = hashes.get(name);
    if (known && known !== hash) throw new Error(`Migration ${name} was changed after it had been applied`);
    return !known;
  });
}

/** Puts up the guards that are missing, or takes down those that are there. */
function guardSqlite(connection: Database, up: boolean): void {
  const rows = connection.prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type <> 'index'").all();
  const present = new Set(rows.map(({ name }) => name));
  for (const { name, table, create } of guards.sqlite) {
    if (!up && present.has(name)) connection.exec(`DROP TRIGGER ${name}`);
    if (up && present.has(table) && !present.has(name)) connection.exec(create);
  }
}

/** The same on PostgreSQL. */
async function guardPostgres(client: Client, up: boolean): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT tgname AS name FROM pg_trigger WHERE NOT tgisinternal
     UNION ALL SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`,
  );
  const present = new Set(rows.map(({ name }) => name));
  for (const { name, table, create } of guards.postgres) {
    if (!up && present.has(name)) await client.query(`DROP TRIGGER ${name} ON ${table}`);
    if (up && present.has(table) && !present.has(name)) await client.query(create);
  }
}

type Row = Readonly<Record<string, unknown>>;

/** The tables that are looked at before the first change. */
function accept({ mode, inspect }: Acceptance, installation: readonly Row[], inspected: readonly Row[]): void {
  const marked = installation.find(({ name }) => name === "mode");
  if (mode && marked) requireMode(String(marked.value), mode);
  inspect?.check(inspected);
}

/** Brings a SQLite file up to date, all or nothing; nothing where it is not accepted. */
export function migrateSqlite(connection: Database, folder: string, acceptance: Acceptance = {}): void {
  const migrations = readMigrations(folder);
  // Rebuilding a table drops it, which with foreign keys on would cascade; the switch is ignored inside a transaction.
  connection.pragma("foreign_keys = OFF");
  try {
    connection
      .transaction(() => {
        connection.exec(CREATE);
        const applied = connection.prepare<[], { name: string; hash: string }>(APPLIED).all();
        const missing = pending(migrations, applied);
        const rowsOf = (table = "") =>
          connection.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(table)
            ? connection.prepare<[], Row>(`SELECT * FROM "${table}"`).all()
            : [];
        accept(acceptance, rowsOf("installation"), rowsOf(acceptance.inspect?.table));
        if (missing.length > 0) guardSqlite(connection, false);
        for (const { name, hash, statements } of missing) {
          for (const statement of statements) connection.exec(statement);
          connection.prepare("INSERT INTO migrations (name, hash) VALUES (?, ?)").run(name, hash);
        }
        guardSqlite(connection, true);
        const broken = connection.pragma("foreign_key_check") as unknown[];
        if (broken.length > 0) throw new Error(`Migrating would break ${broken.length} foreign keys`);
      })
      .immediate();
  } finally {
    connection.pragma("foreign_keys = ON");
  }
}

/** Any fixed number, so that of several instances that start at once one migrates and the others wait. */
const LOCK = 4_207_849_484;

/** The same for a PostgreSQL database, on a connected client without a statement timeout. */
export async function migratePostgres(client: Client, folder: string, acceptance: Acceptance = {}): Promise<void> {
  const migrations = readMigrations(folder);
  await client.query("BEGIN");
  try {
    await client.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    await client.query(CREATE);
    const { rows } = await client.query<{ name: string; hash: string }>(APPLIED);
    const missing = pending(migrations, rows);
    const rowsOf = async (table = "") => {
      const found = (await client.query("SELECT to_regclass($1) AS name", [table])).rows[0]?.name;
      return found ? (await client.query<Row>(`SELECT * FROM "${table}"`)).rows : [];
    };
    const { inspect } = acceptance;
    accept(acceptance, await rowsOf("installation"), inspect ? await rowsOf(inspect.table) : []);
    if (missing.length > 0) await guardPostgres(client, false);
    for (const { name, hash, statements } of missing) {
      for (const statement of statements) await client.query(statement);
      await client.query("INSERT INTO migrations (name, hash) VALUES ($1, $2)", [name, hash]);
    }
    await guardPostgres(client, true);
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}
