import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "../bench");
/** Those that are programs: they begin when they are loaded. */
const PROGRAMS = [
  "run.mjs",
  "profile.mjs",
  "better-auth.mjs",
  "echo.mjs",
  "webauthn-judge.mjs",
  "webhook-receiver.mjs",
];

// They are JavaScript, so no compiler says when a name of the sources that they use has changed.
test("every bench finds what it uses of the sources", async () => {
  const modules = readdirSync(folder).filter((name) => name.endsWith(".mjs") && !PROGRAMS.includes(name));
  const loading = modules.map((name) => `await import(${JSON.stringify(join(folder, name))});`);
  const loaded = [...loading, "console.log('loaded');", "process.exit();"].join("\n");
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "--eval", loaded]);
  expect((await run).stdout).toBe("loaded\n");
});
