import { link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { KeyFileInvalid, newKeys, parseKeys } from "./key-format.ts";
import { bearerId } from "./random.ts";
import type { RootKeys } from "./root-key.ts";

const OTHERS_READ_OR_ANYONE_ELSE_WRITES = 0o027;

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : undefined);

/** Reads the operator's keys. Throws KeyFileInvalid with one line that names the file and what to do about it. */
export async function readKeyFile(path: string): Promise<RootKeys> {
  try {
    const { mode } = await stat(path);
    // The group may read: that is how orchestrators hand out secrets.
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

/**
 * Writes a new key file with one random key, readable by its owner only; a missing folder is made so too. Whole or not
 * at all, and never over another file: that file may be the only copy of keys in use. Says whether it wrote one.
 */
export async function createKeyFile(path: string): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${bearerId()}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(newKeys());
      await file.sync();
    } finally {
      await file.close();
    }
    // Unlike a rename, a link fails when the name is taken.
    await link(draft, path);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(dirname(path));
  return true;
}

/** Makes the new name outlast a power cut; systems that cannot sync a folder do without. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
