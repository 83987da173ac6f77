// Starts the bundle as `npm start` does, on an empty data folder, several times: the time from process start to the
// ready line, and the resident memory five seconds later.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { ANY_PORTS } from "./processes.mjs";

const bundle = join(import.meta.dirname, "../dist/main.js");

/** Each start's time to ready in milliseconds and its resident megabytes. */
export async function benchStart({ quick = false } = {}) {
  const runs = [];
  for (let run = 0; run < (quick ? 1 : 5); run++) {
    const dataDir = mkdtempSync(join(tmpdir(), "mfa-bench-"));
    const started = performance.now();
    const service = spawn(process.execPath, ["--max-semi-space-size=4", bundle, "--dev"], {
      env: { ...process.env, ...ANY_PORTS, MFA_DATA_DIR: dataDir },
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
  return runs;
}
