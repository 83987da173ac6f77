import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { openSqlite } from "../../src/db/sqlite.ts";
import { run } from "../interop/process.ts";

const isRoot = process.getuid?.() === 0;

function folder() {
  const path = mkdtempSync(join(tmpdir(), "mfa-refusals-"));
  chmodSync(path, 0o755);
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Opens a database in a process of its own, by a user who is not root, and answers what it says. */
async function openAsNobody(path: string): Promise<string> {
  const script = `
    const { openSqlite } = await import("./src/db/sqlite.ts");
    const Database = (await import("better-sqlite3")).default;
    new Database(":memory:").close(); // loads the driver while its file can be read
    if (process.getuid() === 0) process.seteuid(65534);
    try { openSqlite({ path: ${JSON.stringify(path)} }); console.log("opened"); } catch (error) { console.log(error.message); }`;
  return (await run(process.execPath, ["--input-type=module", "-e", script])).stdout.trim();
}

describe("a SQLite database that cannot be opened says why, and what mends it", () => {
  test("in a folder that the service may not write to", async () => {
    const path = join(folder(), "mfa.db");
    if (!isRoot) chmodSync(join(path, ".."), 0o555);
    expect(await openAsNobody(path)).toMatch(
      /mfa\.db cannot be opened or made: let the user of the service .* write to it and to its folder/,
    );
  });

  test("in a folder that may not be made", async () => {
    const parent = folder();
    if (!isRoot) chmodSync(parent, 0o555);
    expect(await openAsNobody(join(parent, "data", "mfa.db"))).toMatch(/cannot be opened or made: let the user/);
  });

  test("in a file that the service may only read", async () => {
    const home = folder();
    const path = join(home, "mfa.db");
    await openSqlite({ path }).close();
    chmodSync(home, 0o777);
    chmodSync(`${path}.lock`, 0o666);
    chmodSync(path, 0o444);
    expect(await openAsNobody(path)).toMatch(
      /is read-only for the user of the service|cannot be opened or made: let the user/,
    );
  });

  test("on a file system that is mounted read-only", async () => {
    const home = folder();
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", home], { stdio: "ignore" });
    } catch {
      process.stderr.write("\n*** NO READ-ONLY FILE SYSTEM WAS TRIED: this user may not mount one ***\n");
      return;
    }
    onTestFinished(() => void execFileSync("umount", ["-l", home]));
    expect(() => openSqlite({ path: join(home, "mfa.db") })).toThrow(/read-only for the user of the service/);
  });

  test("in a file that is no database", () => {
    const path = join(folder(), "mfa.db");
    writeFileSync(
      path,
      "This is a letter, and a long one at that, so that nobody takes it for an empty database.".repeat(50),
    );
    expect(() => openSqlite({ path })).toThrow(
      /mfa\.db is no SQLite database, or its beginning is damaged: restore a backup$/,
    );
  });

  test("in a file that another process holds", () => {
    const path = join(folder(), "mfa.db");
    const store = openSqlite({ path });
    onTestFinished(() => store.close());
    expect(() => openSqlite({ path })).toThrow(/mfa\.db is in use by another process$/);
  });
});
