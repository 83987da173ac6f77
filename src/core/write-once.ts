import { link, mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { newId } from "./id.ts";

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : undefined);

/** Makes a new name outlast a power cut; systems that cannot sync a folder do without. */
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
 * Writes a file that only its owner may read, in a folder likewise, whole or not at all and never over another: the
 * other may be the only copy of keys in use. Says whether it wrote.
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
