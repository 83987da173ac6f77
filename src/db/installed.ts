import { createHash } from "node:crypto";
import { appendFile, readFile } from "node:fs/promises";
import { resolve } from "node:path";

/** Returns the location of a database without its password: the file of SQLite, server and database of PostgreSQL. */
export function databaseLocationOf(url: string): string {
  const [, path] = /^sqlite:(?:\/\/)?(.+)$/.exec(url) ?? [];
  if (path) return resolve(path);
  const { host, pathname, searchParams } = new URL(url);
  return `postgres://${host}${pathname} ${searchParams.get("options") ?? ""}`.trim();
}

const digestOf = (url: string) => createHash("sha256").update(databaseLocationOf(url)).digest("hex");

const linesOf = (path: string): Promise<string[]> =>
  readFile(path, "utf8").then(
    (text) => text.split("\n"),
    () => [],
  );

/**
 * Notes in small files where an installation has had a database, one digest a line: a start that finds none there is
 * no first start. Beside the key file, which outlives a database; in the second file where that folder is not ours to
 * write to, as with mounted secrets.
 */
export function installedMarks(files: readonly string[]) {
  /** The file that knows of a database at this place; undefined where none does. */
  const find = async (url: string): Promise<string | undefined> => {
    for (const file of files) if ((await linesOf(file)).includes(digestOf(url))) return file;
    return undefined;
  };
  return {
    find,
    /** Notes the place, once; where no file can be written it is not known, which stops nobody. */
    async note(url: string): Promise<void> {
      if (await find(url)) return;
      for (const file of files) {
        const isWritten = await appendFile(file, `${digestOf(url)}\n`, { mode: 0o600 }).then(
          () => true,
          () => false,
        );
        if (isWritten) return;
      }
    },
  };
}
