import { migrationsFolder } from "./migrate.ts";
import { openPostgres, type PostgresOptions } from "./postgres.ts";
import { openSqlite, type SqliteOptions } from "./sqlite.ts";
import type { Store } from "./store.ts";

/** `sqlite:<path>` or `postgres://…`, with the settings of either engine. */
export type OpenOptions = Omit<SqliteOptions, "path"> & PostgresOptions;

/** Opens the database of a url and applies pending migrations; `migrations` replaces the engine's own folder. */
export async function openStore({ url, ...options }: OpenOptions): Promise<Store> {
  const [, path] = /^sqlite:(?:\/\/)?(.+)$/.exec(url) ?? [];
  if (path) return openSqlite({ migrations: migrationsFolder("sqlite"), ...options, path });
  if (/^postgres(ql)?:\/\//.test(url))
    return openPostgres({ migrations: migrationsFolder("postgres"), ...options, url });
  // Not the url itself, which may hold a password.
  throw new Error("The database url is neither sqlite:<path> nor postgres://<host>/<database>");
}
