// Starts the bundle as `npm start` does, on an empty data folder, several times: the time from process start to the
// ready line, and the resident memory five seconds later. Run by: node bench/start.mjs
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

const bundle = join(import.meta.dirname, "../dist/main.js");
const runs = [];

for (let run = 0; run < 5; run++) {
  const dataDir = mkdtempSync(join(tmpdir(), "mfa-bench-"));
  const started = performance.now();
  const service = spawn(process.execPath, ["--max-semi-space-size=4", bundle, "--dev"], {
    env: { ...process.env, MFA_PORT: "0", MFA_GATEWAY_PORT: "0", MFA_ADMIN_PORT: "0", MFA_DATA_DIR: dataDir },
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise((resolve) => service.stdout.on("data", (text) => String(text).includes("ready") && resolve()));
  const ready = performance.now() - started;
  await setTimeout(5_000);
  const [, resident] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.pid}/status`, "utf8")) ?? [];
  runs.push({ ready, resident: (Number(resident) * 1024) / 1e6 });
  service.kill("SIGTERM");
  await new Promise((resolve) => service.once("exit", resolve));
  rmSync(dataDir, { recursive: true });
}

for (const [name, unit] of [
  ["ready", "ms"],
  ["resident", "MB"],
]) {
  const sorted = runs.map((run) => run[name]).sort((a, b) => a - b);
  process.stdout.write(
    `${name}: median ${sorted[2].toFixed(0)} ${unit}, ${sorted[0].toFixed(0)} to ${sorted[4].toFixed(0)}\n`,
  );
}
