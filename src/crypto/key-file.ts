import { readFile, stat } from "node:fs/promises";
import { writeOnce } from "../core/write-once.ts";
import { KeyFileInvalid, newKeys, parseKeys, withNewKey, withPrimary } from "./key-format.ts";
import { replaceFile } from "./replace-file.ts";
import type { RootKeys } from "./root-key.ts";

const OTHERS_READ_OR_ANYONE_ELSE_WRITES = 0o027;

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : undefined);

/** Reads the operator's keys. Throws KeyFileInvalid with one line that names the file and what to do about it. */
export async function readKeyFile(path: string): Promise<RootKeys> {
  try {
    const { mode } = await stat(path);
    // The group may read: orchestrators mount secrets that way.
    if (process.platform !== "win32" && mode & OTHERS_READ_OR_ANYONE_ELSE_WRITES) {
      throw new KeyFileInvalid(`others may read or change it; run: chmod 600 ${path}`);
    }
    return parseKeys(await readFile(path, "utf8"));
  } catch (error) {
    const code = codeOf(error);
    const reason =
      error instanceof KeyFileInvalid
        ? error.message
        : code === "ENOENT"
          ? "it does not exist"
          : `${code ?? "unreadable"}`;
    throw new KeyFileInvalid(`key file ${path}: ${reason}`);
  }
}

/** Adds a random key to a key file, for a rotation: not as the primary one, so that every instance can learn it first. */
export async function addKey(path: string): Promise<string> {
  await readKeyFile(path); // tells what is wrong with it, by its name
  const { id, text } = withNewKey(await readFile(path, "utf8"));
  await replaceFile(path, text);
  return id;
}

/** Has another key of a key file be the primary one, from the next start on. */
export async function makePrimary(path: string, id: string): Promise<void> {
  await readKeyFile(path);
  await replaceFile(path, withPrimary(await readFile(path, "utf8"), id));
}

/**
 * Writes a new key file with one random key, readable by its owner only, and never over another file: that one may be
 * the only copy of keys in use. Says whether it wrote one.
 */
export const createKeyFile = (path: string): Promise<boolean> => writeOnce(path, newKeys);
