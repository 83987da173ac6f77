import { randomBytes } from "node:crypto";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { inject, onTestFinished } from "vitest";
import { newKeys, parseKeys } from "../../../src/crypto/key-format.ts";
import { openKeyring } from "../../../src/crypto/keyring.ts";
import { bindingStore } from "../../../src/db/bound-rows.ts";
import { openPostgres } from "../../../src/db/postgres.ts";
import { openSqlite } from "../../../src/db/sqlite.ts";
import type { Store } from "../../../src/db/store.ts";
import { databaseUrl, execute } from "./postgres.ts";

/** A fresh, migrated store of a test's own. */
export interface Opened {
  readonly store: Store;
  /** What `openStore` takes to open the same database again. */
  readonly url: string;
  /** Runs statements beside the store, such as the DDL of a test's own table. */
  execute(...statements: string[]): Promise<void>;
  /** Closes the store and removes its database. */
  remove(): Promise<void>;
}

/** An engine that the tests run on, each with `describe.each(engines)`. */
export interface EngineUnderTest {
  readonly name: Store["engine"];
  open(): Promise<Opened>;
  /** Opens the database of a closed store again. */
  reopen(opened: Opened): Promise<Store>;
}

const sqlite: EngineUnderTest = {
  name: "sqlite",
  open: async () => {
    const folder = await mkdtemp(join(tmpdir(), "mfa-sqlite-"));
    const path = join(folder, "mfa.db");
    await copyFile(inject("sqliteTemplate"), path);
    const store = openSqlite({ path });
    return {
      store,
      url: `sqlite:${path}`,
      execute: async (...statements) => {
        const connection = new Database(path);
        for (const statement of statements) connection.exec(statement);
        connection.close();
      },
      remove: async () => {
        await store.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
  reopen: async ({ url }) => openSqlite({ path: url.slice("sqlite:".length) }),
};

const postgres: EngineUnderTest = {
  name: "postgres",
  open: async () => {
    const server = inject("postgres");
    const name = `mfa_${randomBytes(6).toString("hex")}`;
    await execute(server.url, `CREATE DATABASE ${name} TEMPLATE ${server.template} STRATEGY FILE_COPY`);
    const url = databaseUrl(server.url, name);
    // A thousand writers wait in line for 16 connections, on a machine that may be busy.
    const store = await openPostgres({ url, connectTimeoutMs: 60_000 });
    return {
      store,
      url,
      execute: (...statements) => execute(url, ...statements),
      remove: async () => {
        await store.close();
        await execute(server.url, `DROP DATABASE ${name} WITH (FORCE)`);
      },
    };
  },
  reopen: ({ url }) => openPostgres({ url }),
};

/** Both engines; PostgreSQL is started by global-setup.ts, and its absence fails the run. */
export const engines: readonly EngineUnderTest[] = [sqlite, postgres];

/** Opens a store for the running test and removes it afterwards. */
export async function openForTest(engine: EngineUnderTest): Promise<Opened> {
  const opened = await engine.open();
  onTestFinished(() => opened.remove());
  return opened;
}

/** As `openForTest`, through keys of the test's own, for tables with bound rows. */
export async function boundForTest(engine: EngineUnderTest): Promise<Store> {
  const { store } = await openForTest(engine);
  return bindingStore(store, await openKeyring(parseKeys(newKeys()), store));
}

/** A PostgreSQL database of the running test's own, with nothing in it; answers its url. */
export async function emptyDatabase(): Promise<string> {
  const { url } = inject("postgres");
  const name = `mfa_${randomBytes(6).toString("hex")}`;
  await execute(url, `CREATE DATABASE ${name}`);
  onTestFinished(() => execute(url, `DROP DATABASE ${name} WITH (FORCE)`));
  return databaseUrl(url, name);
}
