// What the README and the documentation promise: commands run as they stand, tables and settings are those of the code.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { methods } from "../src/compose/services.ts";
import { loadConfig } from "../src/config/config.ts";
import { type Reason, Refusal } from "../src/core/refusal.ts";
import { refusalToError } from "../src/rpc/serve/errors.ts";
import { readSources } from "./support/report/sources.ts";

const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** A page of the documentation. */
const page = (path: string) => readFileSync(join(root, "docs", path), "utf8");

/** The commands below the README's heading "Start". */
const start = () => fenced(readme.split("\n## Start\n")[1]?.split("\n## ")[0] ?? "", "sh").join("");

/** The JSON object that a command printed, whatever npm has to say besides. */
const printed = (output: string) => JSON.parse(/^\{[\s\S]*^\}/m.exec(output)?.[0] ?? "null");

const fenced = (text: string, language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, body = ""]) => body);

/** The cells of a table's rows, without the backticks. */
const rows = (text: string) =>
  [...text.matchAll(/^\| (.*) \|$/gm)]
    .map(([, cells = ""]) => cells.split("|").map((cell) => cell.trim().replaceAll("`", "")))
    .slice(1);

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo; // an address of a TCP server is one
  probe.close();
  await once(probe, "close");
  return port;
}

/** A shell on a command, in a process group of its own, so that nothing of it is left behind. */
function shell(command: string, env: NodeJS.ProcessEnv) {
  const child = spawn("bash", ["-c", command], { cwd: root, env: { ...process.env, ...env }, detached: true });
  let output = "";
  const add = (chunk: Buffer) => {
    output += chunk;
  };
  child.stdout.on("data", add);
  child.stderr.on("data", add);
  const ended = once(child, "close");
  onTestFinished(() => {
    try {
      if (child.pid) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing is left of the group.
    }
  });
  return {
    ended,
    terminate: () => child.kill("SIGTERM"),
    output: () => output,
    saw: (pattern: RegExp) =>
      new Promise<void>((resolve, reject) => {
        const look = () => pattern.test(output) && resolve();
        child.stdout.on("data", look);
        ended.then(() => reject(new Error(`it ended before ${pattern}:\n${output}`)), reject);
      }),
  };
}

test("enroll and log in, copied from the quickstart, works against what its start command runs", {
  timeout: 120_000,
}, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-readme-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const port = String(await freePort());
  // The settings that the README names; NODE_ENV is the test runner's own.
  const free = { MFA_GATEWAY_PORT: "0", MFA_ADMIN_PORT: "0", MFA_INTERNAL_PORT: "0" };
  const env = { ...free, MFA_PORT: port, MFA_DATA_DIR: dataDir, NODE_ENV: "", npm_config_update_notifier: "false" };

  const [command = ""] = /^npm start\b/m.exec(start()) ?? [];
  expect(command).toBe("npm start");
  const service = shell(command, env);
  await service.saw(new RegExp(`ready on 127\\.0\\.0\\.1:${port} \\(grpc\\)`));

  const blocks = fenced(page("quickstart.md"), "bash");
  expect(blocks.length).toBeGreaterThanOrEqual(6);
  // One shell for all, as a reader has it; each block's output ends with the status of its last command.
  const user = shell(blocks.map((block) => `${block}\necho "=== $?"\n`).join(""), env);
  await user.ended;
  const transcript = user.output();
  const [verified = "", again = ""] = transcript.split(/=== \d+\n/).slice(-3);
  const statuses = [...transcript.matchAll(/^=== (\d+)$/gm)].map(([, code]) => Number(code));

  expect(statuses, transcript).toEqual([...Array(blocks.length - 1).fill(0), 8 * status.PERMISSION_DENIED]);
  expect(transcript).toMatch(/Type this into the app: [A-Z2-7]{32}\n/);
  expect(transcript).toContain('"state": "TOTP_DEVICE_STATE_ACTIVE"');
  expect(printed(verified)).toMatchObject({ deviceId: expect.any(String), verifyTime: expect.any(String) });
  const refused = printed(again);
  expect(refused).toMatchObject({ code: "permission_denied", message: "the code was not accepted" });
  const reasons = refused.details.map(({ value }: { value: string }) =>
    fromBinary(ErrorInfoSchema, base64Decode(value)),
  );
  expect(reasons).toMatchObject([{ reason: "CODE_REJECTED" }]);

  service.terminate();
  const [code] = await service.ended;
  expect(code, service.output()).toBe(0);
});

describe("the documentation agrees with the code", () => {
  test("on what is built: the changelog names every RPC", () => {
    const changes = readFileSync(join(root, "CHANGELOG.md"), "utf8");
    expect(methods.filter(({ name }) => !new RegExp(`\\b${name}\\b`).test(changes))).toEqual([]);
  });

  test("on the map: every path it names exists, and every folder of src/ is on it", () => {
    const named = rows(page("develop/project-map.md")).flatMap(([paths = ""]) => paths.split(", "));
    for (const path of named) expect(existsSync(join(root, path)), path).toBe(true);
    const folders = readSources().flatMap(({ path }) => (path.includes("/") ? [`src/${path.split("/")[0]}/`] : []));
    // What every room shares needs no line of its own.
    expect([...new Set(folders)].filter((folder) => !named.includes(folder))).toEqual(["src/core/"]);
  });

  test("on every reason that is sent, its status, and no other", () => {
    const table = rows(page("integrate/errors.md"));
    const sent = readSources().flatMap(({ path }) => {
      const text = readFileSync(join(root, "src", path), "utf8");
      return [...text.matchAll(/(?:new Refusal\(\s*|\breason: )"([A-Z_]+)"/g)].map(([, reason]) => reason);
    });
    expect(table.map(([reason]) => reason).sort()).toEqual([...new Set(sent)].sort());
    for (const [reason, name] of table) {
      const { code } = refusalToError(new Refusal(reason as Reason));
      expect(name, reason).toBe(status[code]);
    }
  });

  test("on every environment variable", () => {
    const named = (text: string) => [...new Set(text.match(/\bMFA_[A-Z_]+\b/g))].sort();
    const table = rows(page("operate/configuration.md")).map(([, variable]) => variable);
    const config = readFileSync(join(root, "src/config/config.ts"), "utf8");
    expect([...table.filter(Boolean), "MFA_CONFIG"].sort()).toEqual(named(config));
  });

  test("on the settings: its example starts in production, and every setting it lists is accepted", () => {
    const folder = mkdtempSync(join(tmpdir(), "mfa-readme-settings-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "settings.json");
    const [example = ""] = fenced(page("operate/production.md"), "json");
    writeFileSync(path, example);
    expect(loadConfig([], { MFA_CONFIG: path })).toMatchObject({ mode: "production", reflection: false });

    for (const [setting = ""] of rows(page("operate/configuration.md"))) {
      const nested = setting.split(".").reduceRight<unknown>((value, name) => ({ [name]: value }), null);
      writeFileSync(path, JSON.stringify(nested));
      // A value of the wrong kind: a setting that is known is refused by its own name, an unknown one as a key.
      expect(() => loadConfig(["--dev"], { MFA_CONFIG: path }), setting).toThrow(new RegExp(`: ${setting}: must be `));
    }
  });
});
