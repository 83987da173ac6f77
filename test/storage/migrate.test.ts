import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { openStore } from "../../src/db/open.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { migrationsOf } from "./migrations.ts";
import { DDL, ids, insert, thing } from "./things.ts";

const seed = (id: string) =>
  `INSERT INTO things (id, owner, create_time) SELECT '${id}', owner, create_time FROM things`;

describe.each(engines)("migrations on $name", (engine) => {
  /** The url of a database that belongs to the running test, and of which no migration is known. */
  const database = async () => {
    const { store, url, execute } = await openForTest(engine);
    await execute("DELETE FROM migrations");
    await store.close();
    return url;
  };
  /** Opens with these migrations, tells which rows are there, and closes. */
  const migrate = async (url: string, migrations: string) => {
    const store = await openStore({ url, migrations });
    const rows = await store.read((tx) => tx.run(ids, {}));
    if (rows.length === 0) await store.write((tx) => tx.run(insert, thing("first")));
    await store.close();
    return rows.map(({ id }) => id);
  };

  it("applies each once, in order, as they come", async () => {
    const url = await database();
    const one = { "9000_one": [DDL[engine.name]] };
    expect(await migrate(url, await migrationsOf(one))).toEqual([]);
    const two = await migrationsOf({ ...one, "9001_two": [seed("second")] });
    expect(await migrate(url, two)).toEqual(["first", "second"]);
    expect(await migrate(url, two)).toEqual(["first", "second"]);
  });

  it("leaves the database as it was when one fails", async () => {
    const url = await database();
    const broken = await migrationsOf({
      "9000_one": [DDL[engine.name]],
      "9001_two": ["CREATE TABLE other (id text)", "OOPS"],
    });
    await expect(openStore({ url, migrations: broken })).rejects.toThrow("OOPS");
    expect(await migrate(url, await migrationsOf({ "9000_one": [DDL[engine.name]] }))).toEqual([]);
  });

  it("says of a database that was migrated otherwise that it is none of ours, not that it is newer", async () => {
    const url = await database();
    await migrate(url, await migrationsOf({ "9000_one": [DDL[engine.name]] }));
    const ours = await migrationsOf({ "8000_other": [DDL[engine.name]], "9001_two": [seed("second")] });
    await expect(openStore({ url, migrations: ours })).rejects.toThrow(
      /^this database was migrated otherwise: it has migration 9000_one, .* lacks 8000_other/,
    );
    const older = await migrationsOf({});
    await expect(openStore({ url, migrations: older })).rejects.toThrow(/^this database is newer than/);
  });

  it("begins no new database where that is refused, and leaves nothing of it", async () => {
    const url = await database();
    const migrations = await migrationsOf({ "9000_one": [DDL[engine.name]] });
    const onNew = () => {
      throw new Error("there was one");
    };
    await expect(openStore({ url, migrations, onNew })).rejects.toThrow("there was one");
    await expect(openStore({ url, migrations, onNew })).rejects.toThrow("there was one");
    await migrate(url, migrations);
    const store = await openStore({ url, migrations, onNew });
    await store.close();
  });

  it("refuses one that was changed after it had been applied", async () => {
    const url = await database();
    await migrate(url, await migrationsOf({ "9000_one": [DDL[engine.name]] }));
    const changed = await migrationsOf({ "9000_one": [DDL[engine.name], seed("more")] });
    await expect(openStore({ url, migrations: changed })).rejects.toThrow("9000_one was changed");
  });
});

it("loses no rows that refer to a table which SQLite has to rebuild", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mfa-migrate-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "mfa.db");
  const migrations = await migrationsOf({
    "0000_one": [
      "CREATE TABLE parent (id text PRIMARY KEY)",
      "CREATE TABLE child (parent text REFERENCES parent (id) ON DELETE CASCADE)",
      "INSERT INTO parent VALUES ('p')",
      "INSERT INTO child VALUES ('p')",
    ],
    "0001_two": [
      "PRAGMA foreign_keys=OFF;", // as drizzle-kit writes it, without effect in a transaction
      "CREATE TABLE new_parent (id text PRIMARY KEY, name text)",
      "INSERT INTO new_parent SELECT id, NULL FROM parent",
      "DROP TABLE parent",
      "ALTER TABLE new_parent RENAME TO parent",
      "PRAGMA foreign_keys=ON;",
    ],
  });
  await (await openStore({ url: `sqlite:${path}`, migrations })).close();
  const connection = new Database(path);
  expect(connection.prepare("SELECT * FROM child").all()).toEqual([{ parent: "p" }]);
  connection.close();
});

it.each(["mysql://root:hunter2@host/db", "mfa.db", "sqlite:"])(
  "refuses the url %s without repeating it",
  async (url) => {
    const error = await openStore({ url }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).not.toContain("hunter2");
  },
);
