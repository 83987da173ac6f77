import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "../core/write-once.ts";
import type { Running } from "./task.ts";

/** The folder of backups, and how many are kept. */
export interface BackupSettings {
  readonly folder: string;
  readonly keep: number;
}

const FINISHED = /^mfa-\d{8}T\d{9}Z\.db$/;
const UNFINISHED = /^mfa-\d{8}T\d{9}Z\.db\.part/;

/** "mfa-20260301T120000000Z.db": sorts by time. */
const nameAt = (now: Date) => `mfa-${now.toISOString().replaceAll(/[-:.]/g, "")}.db`;

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Copies the database into a folder, whole or not at all, and forgets all but the newest copies. A copy is on disk
 * before it has its name, and older ones go after that.
 */
export async function backUp({ store, now, signal }: Running, { folder, keep }: BackupSettings): Promise<number> {
  if (!store.backup) throw new Error("this database is backed up by its own tools");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const left = (await readdir(folder)).filter((name) => UNFINISHED.test(name));
  for (const name of left) await rm(join(folder, name), { force: true });
  const name = nameAt(now);
  const draft = join(folder, `${name}.part`);
  try {
    await store.backup(draft, signal);
    await syncFile(draft);
    await store.write(async () => {}); // throws where the run has lost its task
    await rename(draft, join(folder, name));
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(folder);
  const others = (await readdir(folder)).filter((other) => FINISHED.test(other) && other !== name).sort();
  const superfluous = others.slice(0, Math.max(0, others.length - (keep - 1)));
  for (const other of superfluous) await rm(join(folder, other), { force: true });
  return 1;
}
