import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { root } from "../interop/process.ts";

test("a service whose log cannot be written answers all the same, says so in its metrics, and stops as it should", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "mfa-full-log-"));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const full = openSync("/dev/full", "w");
  onTestFinished(() => closeSync(full));
  const child = spawn(process.execPath, ["src/main.ts", "--dev"], {
    cwd: root,
    stdio: ["ignore", "pipe", full],
    env: {
      ...process.env,
      ...{ MFA_PORT: "0", MFA_GATEWAY_PORT: "0", MFA_ADMIN_PORT: "0", MFA_INTERNAL_PORT: "0", MFA_HOST: "127.0.0.1" },
      ...{ MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: "", MFA_KEY_FILE: "", MFA_CONFIG: "" },
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout?.on("data", (chunk) => {
    said += chunk;
  });
  const ports = () => /:(\d+) \(gateway\), [^ ]+:(\d+) \(admin\)/.exec(said);
  while (!ports()) await once(child.stdout as NodeJS.ReadableStream, "data");
  const [, gateway, admin] = ports() ?? [];
  for (let n = 0; n < 3000; n += 50) {
    const call = () =>
      fetch(`http://127.0.0.1:${gateway}/mfa.v1.MfaService/GetMfaStatus`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      });
    const answers = await Promise.all(Array.from({ length: 50 }, call));
    expect(answers.every(({ status }) => [401, 429].includes(status))).toBe(true);
  }
  const metrics = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
  expect(metrics).toMatch(/mfa_log_lines_lost \d+/);
  child.kill("SIGTERM");
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
});
