import { chown, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { newId } from "../core/id.ts";
import { syncFolder } from "../core/write-once.ts";

/** Replaces a file's contents atomically, keeping owner, group and mode. */
export async function replaceFile(path: string, contents: string): Promise<void> {
  const { mode, uid, gid } = await stat(path);
  const draft = `${path}.${newId()}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(contents);
      // Only its owner gives a file away; whoever is not its owner keeps it for themselves.
      await chown(draft, uid, gid).catch(() => {});
      await file.chmod(mode & 0o777);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(dirname(path));
}
