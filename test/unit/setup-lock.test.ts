// The set-up of a checkout waits for another one, and for none that is gone.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");

/** A checkout in which nothing is to be installed and both products are made by a script of one line. */
function checkout() {
  const folder = mkdtempSync(join(tmpdir(), "mfa-setup-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "scripts"));
  mkdirSync(join(folder, "dist"));
  mkdirSync(join(folder, "src"));
  mkdirSync(join(folder, "gen"));
  for (const name of ["package.json", "package-lock.json"]) cpSync(join(root, name), join(folder, name));
  cpSync(join(root, "scripts", "setup.cjs"), join(folder, "scripts", "setup.cjs"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "scripts", "print-proto.mjs"), "");
  const made = { "vendor.mjs": ".proto/buf/validate/validate.proto", "bundle.mjs": "dist/main.bundle.js" };
  for (const [script, product] of Object.entries(made)) {
    const write = `import { mkdirSync, writeFileSync } from "node:fs"; import { dirname } from "node:path";
      mkdirSync(dirname("${product}"), { recursive: true }); writeFileSync("${product}", "");`;
    writeFileSync(join(folder, "scripts", script), write);
  }
  return { folder, lock: join(folder, "dist", ".setup-lock") };
}

async function setUp(folder: string) {
  const child = spawn(process.execPath, ["scripts/setup.cjs"], { cwd: folder, stdio: "ignore" });
  const [code] = await once(child, "exit");
  return code;
}

const beginOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19];

test.each([
  ["a process that is gone", () => "4194303 1"],
  ["a number that another process has now", () => `${process.pid} 1`],
  ["a lock of an older version under a number that lives", () => "1"],
])("a set-up does not wait for %s", async (_, written) => {
  const { folder, lock } = checkout();
  writeFileSync(lock, written());
  expect(await setUp(folder)).toBe(0);
});

test("a set-up waits for one that is at it, and goes on when that has ended", async () => {
  const { folder, lock } = checkout();
  const held = `${process.pid} ${beginOf(process.pid)}`;
  writeFileSync(lock, held);
  const waiting = setUp(folder);
  expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 1500, "waits"))])).toBe("waits");
  expect(readFileSync(lock, "utf8")).toBe(held);
  rmSync(lock);
  expect(await waiting).toBe(0);
});
