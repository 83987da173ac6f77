import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

it("docs/reference/rpcs.md lists every RPC as the contract and the handlers have it today", () => {
  const root = join(import.meta.dirname, "..");
  expect(() =>
    execFileSync(process.execPath, ["scripts/rpcs.mjs", "--check"], { cwd: root, stdio: "pipe" }),
  ).not.toThrow();
});
