import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import type { Opened } from "./engines.ts";

/** Every byte that a database keeps: a SQLite file and its WAL; a PostgreSQL's tables and its write-ahead log. */
export async function bytesOf({ store, url }: Opened): Promise<Buffer> {
  if (store.engine === "sqlite") {
    const path = url.slice("sqlite:".length);
    return Buffer.concat([path, `${path}-wal`].filter(existsSync).map((file) => readFileSync(file)));
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows: tables } = await client.query(
      "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'",
    );
    const kept: Buffer[] = [];
    for (const { name } of tables) {
      const { rows } = await client.query(`SELECT t::text AS line FROM ${name} t`);
      kept.push(...rows.map(({ line }) => Buffer.from(`${line}\n`)));
    }
    const { rows: folders } = await client.query("SELECT current_setting('data_directory') AS folder");
    const wal = join(folders[0].folder, "pg_wal");
    for (const file of await readdir(wal, { withFileTypes: true })) {
      if (file.isFile()) kept.push(readFileSync(join(wal, file.name)));
    }
    return Buffer.concat(kept);
  } finally {
    await client.end();
  }
}

/** How a secret text may be written down: as it is, in other cases, hex, base64 at each alignment, UTF-16, reversed. */
export function encodingsOf(secret: string): Buffer[] {
  const bytes = Buffer.from(secret);
  // Of a base64 text the ends depend on what stands beside; the middle does not.
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    return text.slice(shift === 0 ? 0 : 4, -4);
  });
  const texts = [
    ...[secret, secret.toLowerCase(), encodeURIComponent(secret), [...secret].reverse().join("")],
    ...[bytes.toString("hex"), bytes.toString("hex").toUpperCase(), ...base64],
    ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
  ];
  return [...texts.map((text) => Buffer.from(text)), Buffer.from(secret, "utf16le")];
}
