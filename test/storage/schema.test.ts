import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import Database from "better-sqlite3";
import { getTableColumns, getTableName } from "drizzle-orm";
import pg from "pg";
import { describe, expect, it, onTestFinished, test } from "vitest";
import { type Engine, tableIn } from "../../src/db/dialect.ts";
import { migrationsFolder } from "../../src/db/migrate.ts";
import { exempt, retention } from "../../src/retention.ts";
import { tables } from "../../src/schema.ts";
import { engines, openForTest } from "../support/engine/engines.ts";

type Columns = Record<string, string[]>;

const columnsOf = (rows: { table: string; column: string }[]): Columns => {
  const found = Map.groupBy(rows, ({ table }) => table);
  return Object.fromEntries([...found].map(([table, columns]) => [table, columns.map(({ column }) => column).sort()]));
};

/** What a migrated database holds, apart from the migrations' own table. */
const present: Record<Engine, (url: string) => Promise<Columns>> = {
  sqlite: async (url) => {
    const connection = new Database(url.slice("sqlite:".length), { readonly: true });
    const rows = connection.prepare<[], { table: string; column: string }>(
      `SELECT m.name AS "table", c.name AS "column" FROM sqlite_schema m, pragma_table_info(m.name) c
       WHERE m.type = 'table' AND m.name <> 'migrations'`,
    );
    const found = columnsOf(rows.all());
    connection.close();
    return found;
  },
  postgres: async (url) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query(
      `SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns
       WHERE table_schema = 'public' AND table_name <> 'migrations'`,
    );
    await client.end();
    return columnsOf(rows);
  },
};

async function contents(folder: string): Promise<Record<string, string>> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  const paths = files.map((file) => join(file.parentPath, file.name));
  return Object.fromEntries(
    await Promise.all(paths.map(async (path) => [relative(folder, path), await readFile(path, "utf8")] as const)),
  );
}

test("a table whose rows end is swept, or stays for a reason that is given", () => {
  const swept = new Set<unknown>(Object.values(retention).flatMap((list) => list.map(({ table }) => table)));
  const forgotten = tables.filter((define) => {
    const columns = Object.values(getTableColumns(tableIn("sqlite")(define))).map(({ name }) => name);
    const hasEnd = columns.some((name) => /(^|_)(expire|expires|expiry|end|until)(_time|_at)?$/.test(name));
    return hasEnd && !swept.has(define) && !exempt.has(define as never);
  });
  const names = forgotten.map((define) => getTableName(tableIn("sqlite")(define)));
  expect(names, "give it a line in src/retention.ts").toEqual([]);
});

describe.each(engines)("the schema on $name", (engine) => {
  it("holds the tables of src/schema.ts and no others", async () => {
    const { url } = await openForTest(engine);
    const expected = tables.map((define) => {
      const table = tableIn(engine.name)(define);
      const columns = Object.values(getTableColumns(table)).map(({ name }) => name);
      return [getTableName(table), columns.sort()];
    });
    expect(await present[engine.name](url)).toEqual(Object.fromEntries(expected));
  });

  it("has migrations that are up to date: generating again changes nothing", async () => {
    // drizzle-kit wants the folder relative to where it runs.
    const copy = await mkdtemp(join(import.meta.dirname, ".generated-"));
    onTestFinished(() => rm(copy, { recursive: true, force: true }));
    await cp(migrationsFolder(engine.name), copy, { recursive: true });
    const root = join(import.meta.dirname, "../..");
    const dialect = engine.name === "postgres" ? "postgresql" : engine.name;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        join(root, "node_modules/drizzle-kit/bin.cjs"),
        ...["generate", "--dialect", dialect, "--name", "schema"],
        ...["--schema", `src/db/drizzle/${engine.name}.cjs`, "--out", relative(root, copy)],
      ],
      { cwd: root },
    );
    expect(await contents(copy), stdout).toEqual(await contents(migrationsFolder(engine.name)));
  });
});
