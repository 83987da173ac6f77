import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Database } from "better-sqlite3";
import type { Client } from "pg";
import { adopt } from "./adoption.ts";
import { guards, retired } from "./append-only.ts";
import { bindings, type RowMacs } from "./bound-rows.ts";
import type { Engine } from "./dialect.ts";
import { type Mode, requireMode } from "./installation.ts";
import type { Execute } from "./unit.ts";

/** Where an engine's migrations are: beside this file, and beside the bundle when we run as one. */
export const migrationsFolder = (engine: Engine): string =>
  fileURLToPath(new URL(`./migrations/${engine}`, import.meta.url));

/** Who may refuse a database before anything is changed in it. */
export interface Acceptance {
  /** The mode it must be marked with, if it is marked. */
  readonly mode?: Mode;
  /** Looks at the rows of a table, none where there is no such table yet, and throws what stops the start. */
  readonly inspect?: Inspection;
  /** Throws where a database that holds nothing yet must not be begun. */
  readonly onNew?: () => void;
  /** Makes the MACs of rows from before their table had any; absent where no row may be taken for the service's own. */
  readonly adopting?: RowMacs | undefined;
  /** The tables whose rows have had their MACs for long: no row of theirs is given one any more. */
  readonly boundBefore?: ReadonlySet<string>;
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
  const known = new Set(applied.map(({ name }) => name));
  const unknown = applied.find(({ name }) => !ours.has(name));
  const lacking = migrations.find(({ name }) => !known.has(name));
  if (unknown && lacking) {
    throw new Error(
      `this database was migrated otherwise: it has migration ${unknown.name}, which this version of the service does not know, ` +
        `and lacks ${lacking.name}. It is of a version that was never released or of another program: ` +
        "start that one and carry the factors over by import, or use another database",
    );
  }
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

/** Returns the names of a folder's migrations that a database lacks; throws where it is of another version. */
export const pendingOf = (folder: string, applied: readonly { name: string; hash: string }[]): string[] =>
  pending(readMigrations(folder), [...applied]).map(({ name }) => name);

/** Puts up the guards that are missing, or takes down those that are there. */
function guardSqlite(connection: Database, up: boolean): void {
  const rows = connection.prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type <> 'index'").all();
  const present = new Set(rows.map(({ name }) => name));
  for (const { name } of retired) if (present.has(name)) connection.exec(`DROP TRIGGER ${name}`);
  for (const { name, table, create } of guards.sqlite) {
    if (!up && present.has(name)) connection.exec(`DROP TRIGGER ${name}`);
    if (up && present.has(table) && !present.has(name)) connection.exec(create);
  }
}

/** The same on PostgreSQL. */
async function guardPostgres(client: Client, up: boolean): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT tgname AS name FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
       WHERE NOT tgisinternal AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
     UNION ALL SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`,
  );
  const present = new Set(rows.map(({ name }) => name));
  for (const { name, table } of retired) {
    if (present.has(name)) await client.query(`DROP TRIGGER ${name} ON ${table}`);
  }
  for (const { name, table, create } of guards.postgres) {
    if (!up && present.has(name)) await client.query(`DROP TRIGGER ${name} ON ${table}`);
    if (up && present.has(table) && !present.has(name)) await client.query(create);
  }
}

type Row = Record<string, unknown>;
type Seen = Readonly<Record<"installation" | "inspected", readonly Row[]>>;

/** The tables that are looked at before the first change. */
function accept({ mode, inspect, onNew }: Acceptance, isNew: boolean, { installation, inspected }: Seen): void {
  if (isNew) onNew?.();
  const marked = installation.find(({ name }) => name === "mode");
  if (mode && marked) requireMode(String(marked.value), mode);
  inspect?.check(inspected);
}

/** The tables with bound rows that had no column for their MACs before, by the database and by what is said beside it. */
const newlyBound = (columns: readonly { name: string }[], boundBefore: ReadonlySet<string> = new Set()): string[] =>
  bindings()
    .map(({ table }) => table)
    .filter((table) => !boundBefore.has(table) && !columns.some(({ name }) => name === table));

const BOUND_COLUMN = "bound_mac";

/** Brings a SQLite file up to date, all or nothing; nothing where it is not accepted. */
export function migrateSqlite(
  connection: Database,
  folder: string,
  acceptance: Acceptance = {},
  execute?: Execute,
): void {
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
        const [installation, inspected] = [rowsOf("installation"), rowsOf(acceptance.inspect?.table)];
        accept(acceptance, applied.length === 0, { installation, inspected });
        const bound = connection
          .prepare<[string], { name: string }>(
            `SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = ?`,
          )
          .all(BOUND_COLUMN);
        if (missing.length > 0) guardSqlite(connection, false);
        for (const { name, hash, statements } of missing) {
          for (const statement of statements) connection.exec(statement);
          connection.prepare("INSERT INTO migrations (name, hash) VALUES (?, ?)").run(name, hash);
        }
        if (missing.length > 0 && acceptance.adopting && execute) {
          const steps = adopt(acceptance.adopting, newlyBound(bound, acceptance.boundBefore));
          for (let step = steps.next(); !step.done; ) {
            step = steps.next(execute(step.value.statement, step.value.params) as Row[]); // at once, on SQLite
          }
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
export async function migratePostgres(
  client: Client,
  folder: string,
  acceptance: Acceptance = {},
  execute?: Execute,
): Promise<void> {
  const migrations = readMigrations(folder);
  await client.query("BEGIN");
  try {
    await client.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    await client.query(CREATE);
    const { rows } = await client.query<{ name: string; hash: string }>(APPLIED);
    const missing = pending(migrations, rows);
    const rowsOf = async (table = "") => {
      const found = (
        await client.query("SELECT to_regclass(quote_ident(current_schema()) || '.' || quote_ident($1)) AS name", [
          table,
        ])
      ).rows[0]?.name;
      return found ? (await client.query<Row>(`SELECT * FROM "${table}"`)).rows : [];
    };
    const { inspect } = acceptance;
    const installation = await rowsOf("installation");
    const inspected = inspect ? await rowsOf(inspect.table) : [];
    accept(acceptance, rows.length === 0, { installation, inspected });
    const bound = await client.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.columns
       WHERE table_schema = current_schema() AND column_name = $1`,
      [BOUND_COLUMN],
    );
    if (missing.length > 0) await guardPostgres(client, false);
    for (const { name, hash, statements } of missing) {
      for (const statement of statements) await client.query(statement);
      await client.query("INSERT INTO migrations (name, hash) VALUES ($1, $2)", [name, hash]);
    }
    if (missing.length > 0 && acceptance.adopting && execute) {
      // As the units have it, since drizzle reads instants from their text.
      await client.query("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'");
      const steps = adopt(acceptance.adopting, newlyBound(bound.rows, acceptance.boundBefore));
      for (let step = steps.next(); !step.done; ) {
        step = steps.next(await execute(step.value.statement, step.value.params));
      }
    }
    await guardPostgres(client, true);
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}
