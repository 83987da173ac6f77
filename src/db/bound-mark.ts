import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { newId } from "../core/id.ts";
import { syncFolder, writeOnce } from "../core/write-once.ts";
import { bindings } from "./bound-rows.ts";

const HEADING =
  "The rows of these tables have their MACs, and rows without one are refused from here on. Do not delete this file.";

/**
 * The tables whose rows have their MACs, by the file that says so; none without the file. It lies outside of the database,
 * whose writers could take back what it says of itself.
 */
export async function readBoundMark(path: string): Promise<ReadonlySet<string>> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return new Set(
    text
      .split("\n")
      .slice(1)
      .filter((line) => line !== ""),
  );
}

/** Adds to the file the tables that are bound today; none is ever taken out of it. */
export async function addToBoundMark(path: string): Promise<void> {
  const before = await readBoundMark(path);
  const all = new Set([...before, ...bindings().map(({ table }) => table)]);
  const contents = `${[HEADING, ...[...all].sort()].join("\n")}\n`;
  if (await writeOnce(path, () => contents)) return;
  if (all.size === before.size) return;
  const draft = `${path}.${newId()}`;
  try {
    await writeFile(draft, contents, { mode: 0o600, flush: true });
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(dirname(path));
}
