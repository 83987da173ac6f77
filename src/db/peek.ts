import Database from "better-sqlite3";
import pg from "pg";
import { migrationsFolder, pendingOf } from "./migrate.ts";
import { whyNoPostgres } from "./postgres-reasons.ts";
import { whyNotOpened } from "./sqlite-files.ts";

type Row = Readonly<Record<string, unknown>>;

/** What a database holds, as it is: nothing is migrated, nothing is written. */
export interface Peek {
  /** Names of the migrations that a start would apply, oldest first. */
  readonly pending: readonly string[];
  /** Whether it holds nothing yet. */
  readonly isNew: boolean;
  /** The rows of the tables that were asked for; none where there is no such table yet. */
  readonly rows: Readonly<Record<string, readonly Row[]>>;
}

const sqlitePath = (url: string) => /^sqlite:(?:\/\/)?(.+)$/.exec(url)?.[1];

type Read = (table: string) => Promise<readonly Row[]>;

async function reading(url: string, work: (read: Read) => Promise<Peek>): Promise<Peek> {
  const path = sqlitePath(url);
  if (path !== undefined) return readingSqlite(path, work);
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  try {
    await client.connect().catch((cause) => {
      throw whyNoPostgres(url, cause);
    });
    await client.query("BEGIN READ ONLY");
    return await work(async (table) => {
      const { rows } = await client.query("SELECT to_regclass(quote_ident($1)) AS name", [table]);
      return rows[0]?.name ? (await client.query<Row>(`SELECT * FROM "${table}"`)).rows : [];
    });
  } finally {
    await client.end().catch(() => {});
  }
}

async function readingSqlite(path: string, work: (read: Read) => Promise<Peek>): Promise<Peek> {
  let connection: Database.Database | undefined;
  try {
    const opened = new Database(path, { readonly: true, fileMustExist: true });
    connection = opened;
    return await work(async (table) => {
      const found = opened.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table);
      return found ? opened.prepare<[], Row>(`SELECT * FROM "${table}"`).all() : [];
    });
  } catch (error) {
    throw whyNotOpened(path, error);
  } finally {
    connection?.close();
  }
}

/** Looks into a database: which migrations are to come, and the rows of some tables. Throws, in one line, why it cannot. */
export function peekInto(url: string, tables: readonly string[] = []): Promise<Peek> {
  const engine = sqlitePath(url) === undefined ? "postgres" : "sqlite";
  return reading(url, async (read) => {
    const applied = (await read("migrations")) as readonly { name: string; hash: string }[];
    const rows: Record<string, readonly Row[]> = {};
    for (const table of tables) rows[table] = await read(table);
    return { pending: pendingOf(migrationsFolder(engine), applied), isNew: applied.length === 0, rows };
  });
}
