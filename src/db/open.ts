import { migrationsFolder } from "./migrate.ts";
import { openPostgres, type PostgresOptions } from "./postgres.ts";
import { openSqlite, type SqliteOptions } from "./sqlite.ts";
import type { Store } from "./store.ts";

/** `sqlite:<path>` or `postgres://…`, and what else either engine can be told. */
export type OpenOptions = Omit<SqliteOptions, "path"> & PostgresOptions;

/** Opens the database of a url and brings it up to date; `migrations` replaces our own folder for its engine. */
export async function openStore({ url, ...options }: OpenOptions): Promise<Store> {
  const [, path] = /^sqlite:(?:\/\/)?(.+)$/.exec(url) ?? [];
  if (path) return openSqlite({ migrations: migrationsFolder("sqlite"), ...options, path });
  if (/^postgres(ql)?:\/\//.test(url))
    return openPostgres({ migrations: migrationsFolder("postgres"), ...options, url });
  // Not the url itself, which may hold a password.
  throw new Error("The database url is neither sqlite:<path> nor postgres://<host>/<database>");
}
