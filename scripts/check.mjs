// `npm run check`: everything that can be said about the code without running it. Each step runs even when an earlier
// one failed, so that one run shows all there is to mend.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const say = (line) => process.stdout.write(`${line}\n`);
const run = (command, ...args) =>
  spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).status === 0;

const generated = ["gen", "src/db/migrations"];
const fingerprint = () =>
  new Map(
    generated.flatMap((folder) =>
      globSync(`${folder}/**/*`, { cwd: root, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((file) => [file, createHash("sha256").update(readFileSync(file)).digest("hex")]),
    ),
  );

// Compared with what was there before, not with git: a change under way may hold its generated files uncommitted.
function isGeneratedUpToDate() {
  const before = fingerprint();
  if (!run("npm", "run", "--silent", "generate")) return false;
  const after = fingerprint();
  const stale = [...new Set([...before.keys(), ...after.keys()])].filter(
    (file) => before.get(file) !== after.get(file),
  );
  if (stale.length) {
    say("The generated files were out of date. They are now written anew; commit them with their source:");
    for (const file of stale) say(`  ${file}`);
  }
  return stale.length === 0;
}

const steps = [
  ["generated code", isGeneratedUpToDate],
  ["biome", () => run("biome", "check", "--error-on-warnings", ".")],
  ["types", () => run("tsc", "-p", ".") && run("tsc", "-p", "tsconfig.browser.json")],
  ["buf lint", () => run("buf", "lint")],
  ["buf format", () => run("buf", "format", "proto", "--diff", "--exit-code")],
  ["architecture", () => run("vitest", "run", "test/architecture.test.ts")],
];

const failed = [];
for (const [name, step] of steps) {
  const start = performance.now();
  const passed = step();
  if (!passed) failed.push(name);
  say(`${passed ? "ok    " : "FAILED"} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}
if (failed.length) {
  say(`check: ${failed.length} of ${steps.length} failed: ${failed.join(", ")}`);
  process.exit(1);
}
say(`check: ${steps.length} of ${steps.length} passed`);
