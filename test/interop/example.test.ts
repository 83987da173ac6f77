import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { showCode } from "../support/actors/authenticator-app.ts";
import { root, type ServiceProcess, start, startService } from "./process.ts";

const example = "examples/totp-login/login.mjs";

let service: ServiceProcess;
beforeAll(async () => {
  service = await startService();
});
afterAll(async () => void (await service.stop()));

function login(tokens: { USER_TOKEN?: string; SERVICE_TOKEN: string }) {
  const env = { USER_TOKEN: "", ...tokens, MFA_ADDRESS: service.address };
  const running = start(process.execPath, [example, "eve"], env);
  const type = (code: string) => running.child.stdin?.write(`${code}\n`);
  return { ...running, type };
}

test("the example enrolls a user, logs them in, and is told why a used code is refused", async () => {
  const SERVICE_TOKEN = await service.backend("mfa.verify");
  const enrolling = login({ USER_TOKEN: await service.user("eve"), SERVICE_TOKEN });
  const [, secret = ""] = await enrolling.saw(/secret=([A-Z2-7]+)[\s\S]*The code it shows\?/);
  enrolling.type(await showCode(secret, new Date()));
  await enrolling.saw(/A new code of eve\?/);
  const next = await showCode(secret, new Date(Date.now() + 30_000));
  enrolling.type(next);
  const enrolled = await enrolling.outcome;
  expect(enrolled.stdout).toMatch(/eve is logged in by device [0-9a-f-]{36}\n$/);
  expect(enrolled.code, enrolled.stderr).toBe(0);

  const repeating = login({ SERVICE_TOKEN });
  repeating.type(next);
  const repeated = await repeating.outcome;
  expect(repeated.stdout).toMatch(/no: CODE_REJECTED\n$/);
  expect(repeated.code).toBe(1);
});

test("the example stays short enough to read", () => {
  expect(readFileSync(join(root, example), "utf8").split("\n").length - 1).toBeLessThan(60);
});
