import { randomBytes } from "node:crypto";
import type { TestProject } from "vitest/node";
import { migrationsFolder } from "../../src/db/migrate.ts";
import { openPostgres } from "../../src/db/postgres.ts";
import { databaseUrl, execute, startPostgres } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgres: { url: string; template: string };
  }
}

/** Starts PostgreSQL once for the run, or takes TEST_DATABASE_URL, and migrates the database the tests copy. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  const server = given ? undefined : await startPostgres();
  const url = given ?? server?.url ?? "";
  const template = `mfa_template_${randomBytes(6).toString("hex")}`;
  await execute(url, `CREATE DATABASE ${template}`);
  const store = await openPostgres({ url: databaseUrl(url, template), migrations: migrationsFolder("postgres") });
  await store.close();
  provide("postgres", { url, template });
  return async () => {
    await execute(url, `DROP DATABASE ${template} WITH (FORCE)`);
    await server?.remove();
  };
}
