import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder of migrations as drizzle-kit lays it out, for the running test. */
export async function migrationsOf(migrations: Record<string, string[]>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mfa-migrations-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const entries = Object.keys(migrations).map((tag, idx) => ({ idx, tag, when: idx, version: "7", breakpoints: true }));
  await mkdir(join(folder, "meta"));
  await writeFile(join(folder, "meta", "_journal.json"), JSON.stringify({ version: "7", entries }));
  for (const [tag, statements] of Object.entries(migrations)) {
    await writeFile(join(folder, `${tag}.sql`), statements.join("\n--> statement-breakpoint\n"));
  }
  return folder;
}
