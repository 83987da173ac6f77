import { link, mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { newId } from "./id.ts";

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : undefined);

/** Syncs a folder, so that a new name survives a power cut; systems that cannot sync folders skip it. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Writes a file atomically, readable by its owner only, and never over an existing one, which may be the only copy of
 * keys in use. Returns whether it wrote.
 */
export async function writeOnce(path: string, contents: () => string | Promise<string>): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${newId()}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(await contents());
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
