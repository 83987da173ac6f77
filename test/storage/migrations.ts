import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder of migrations as drizzle-kit lays it out, for the running test. */
export async function migrationsOf(migrations: Record<string, string[]>): Promise<string> {
  const folder = await emptyFolder();
  await mkdir(join(folder, "meta"));
  await writeFile(join(folder, "meta", "_journal.json"), JSON.stringify({ version: "7", entries: [] }));
  await append(folder, migrations);
  return folder;
}

/** The same for the migrations of another folder and these after them: those of a later version. */
export async function migrationsAfter(former: string, migrations: Record<string, string[]>): Promise<string> {
  const folder = await emptyFolder();
  await cp(former, folder, { recursive: true });
  await append(folder, migrations);
  return folder;
}

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mfa-migrations-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function append(folder: string, migrations: Record<string, string[]>): Promise<void> {
  const path = join(folder, "meta", "_journal.json");
  const journal = JSON.parse(await readFile(path, "utf8"));
  for (const tag of Object.keys(migrations)) {
    const idx = journal.entries.length;
    journal.entries.push({ idx, tag, when: idx, version: "7", breakpoints: true });
  }
  await writeFile(path, JSON.stringify(journal));
  for (const [tag, statements] of Object.entries(migrations)) {
    await writeFile(join(folder, `${tag}.sql`), statements.join("\n--> statement-breakpoint\n"));
  }
}
