import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { migrationsFolder } from "../../../src/db/migrate.ts";
import { openPostgres } from "../../../src/db/postgres.ts";
import { openSqlite } from "../../../src/db/sqlite.ts";
import { databaseUrl, execute, startPostgres } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgres: { url: string; template: string };
    /** A migrated file that tests copy. */
    sqliteTemplate: string;
  }
}

/** Migrates the file of SQLite that tests copy, since to migrate one takes ten times as long as to copy it. */
async function sqliteTemplate(): Promise<{ path: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "mfa-template-"));
  const path = join(folder, "mfa.db");
  await openSqlite({ path, migrations: migrationsFolder("sqlite") }).close();
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Starts PostgreSQL once for the run, or takes TEST_DATABASE_URL, and migrates the databases that tests copy. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  const server = given ? undefined : await startPostgres();
  const url = given ?? server?.url ?? "";
  const template = `mfa_template_${randomBytes(6).toString("hex")}`;
  await execute(url, `CREATE DATABASE ${template}`);
  const store = await openPostgres({ url: databaseUrl(url, template), migrations: migrationsFolder("postgres") });
  await store.close();
  provide("postgres", { url, template });
  const file = await sqliteTemplate();
  provide("sqliteTemplate", file.path);
  return async () => {
    await execute(url, `DROP DATABASE ${template} WITH (FORCE)`);
    await server?.remove();
    await file.remove();
  };
}
