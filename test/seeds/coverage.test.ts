import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/** Replayed where the feature is tested. */
const elsewhere: Readonly<Record<string, string>> = {
  ResetUserMfa: "resets",
  ResetUserFactor: "resets",
  EraseUser: "erase",
  ListScheduledTasks: "schedule",
};

const files: Readonly<Record<string, string>> = {
  autional: "autional",
  britive: "britive",
  "openapi-mfa": "auth-framework",
  reltio: "reltio",
};

/** What is called through the simulated phone and its page. */
const through: Readonly<Record<string, string>> = {
  CreatePushChallenge: "askPhone(",
  ApprovePushChallenge: "device.approve(",
  DenyPushChallenge: "device.deny(",
};

const callOf = (rpc: string) => through[rpc] ?? `.${rpc.charAt(0).toLowerCase()}${rpc.slice(1)}(`;

const [, ...rows] = readFileSync(join(import.meta.dirname, "../endpoints.tsv"), "utf8")
  .trimEnd()
  .split("\n");
const operations = rows.map((row) => {
  const [system = "", , rpc = "", method = "", path = ""] = row.split("\t");
  return { system, rpc, operation: `${method} ${path}` };
});

test.each(Object.keys(files))("every operation of %s is replayed in its file", (system) => {
  const text = readFileSync(join(import.meta.dirname, `${files[system]}.test.ts`), "utf8");
  const textOf = (rpc: string) => {
    const file = elsewhere[rpc];
    return file ? readFileSync(join(import.meta.dirname, `../api/${file}.test.ts`), "utf8") : text;
  };
  const missing = operations
    .filter((one) => one.system === system)
    .filter(({ rpc }) => !textOf(rpc).includes(callOf(rpc)))
    .map(({ rpc, operation }) => `${operation} (${rpc})`);
  expect(missing).toEqual([]);
});
