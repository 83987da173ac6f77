import { readdir, stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { ListScheduledTasksResponse } from "../../../gen/mfa/v1/schedule_pb.js";
import { type Config, ConfigError, loadConfig } from "../../config/config.ts";
import { inspectKeys } from "../../crypto/key-check.ts";
import { readKeyFile } from "../../crypto/key-file.ts";
import { peekInto } from "../../db/peek.ts";
import { openIssuer } from "../../rpc/access/tokens/configured.ts";
import { lookAtCertificates } from "../../startup/certificates.ts";
import { lookAtIssuerClock } from "../../startup/clocks.ts";
import { unwritable } from "../../startup/writable.ts";
import { connected } from "./connection.ts";
import { EXIT, type Io } from "./io.ts";
import { tableOf } from "./print.ts";
import type { Globals } from "./verbs.ts";
import { durationText } from "./words.ts";

/** What a check has found: `ok` and a remark, or what is wrong and what mends it. */
interface Finding {
  readonly check: string;
  readonly isOk: boolean;
  readonly text: string;
}

/** Faults, one line each; none where all is well. Throws what is a fault itself. */
type Check = () => Promise<readonly (string | undefined)[]>;

async function findingsOf(check: string, look: Check): Promise<Finding[]> {
  const faults: readonly (string | undefined)[] = await look().catch((error: Error) => [error.message]);
  const wrong = faults.flatMap((fault) => fault ?? []);
  if (wrong.length === 0) return [{ check, isOk: true, text: "" }];
  return wrong.map((text) => ({ check, isOk: false, text }));
}

const LEAST_BYTES = 500 * 2 ** 20;
const LEAST_SHARE = 0.05;

/** The folder itself, or the nearest one above that is there. */
async function existing(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return found || dirname(path) === path ? path : existing(dirname(path));
}

async function spaceFault(path: string): Promise<string | undefined> {
  const folder = await existing(resolve(path));
  const { bavail, blocks, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free > LEAST_BYTES && bavail / blocks > LEAST_SHARE) return undefined;
  return `${folder} has ${Math.round(free / 2 ** 20)} MiB left: make room before the database cannot grow`;
}

const STALE_MS = 48 * 3_600_000;

async function backupFault({ backup: { folder } }: Config, now: Date): Promise<string | undefined> {
  if (folder === undefined) return undefined;
  const copies = (await readdir(folder).catch(() => [])).filter((name) => /^mfa-.*\.db$/.test(name)).sort();
  const newest = copies.at(-1);
  if (newest === undefined) return `${folder} holds no copy yet: run the task database_backup, or mend its schedule`;
  const age = now.getTime() - (await stat(resolve(folder, newest))).mtimeMs;
  return age > STALE_MS
    ? `the newest copy in ${folder} is ${durationText(age / 1000)} old: look at the task database_backup`
    : undefined;
}

async function databaseFaults({ database, keyFile }: Config): Promise<(string | undefined)[]> {
  const keys = await readKeyFile(keyFile);
  const { pending, isNew, rows } = await peekInto(database, ["key_checks"]);
  inspectKeys(keys).check(rows.key_checks ?? []);
  const names = pending.length > 3 ? `${pending.slice(0, 3).join(", ")} …` : pending.join(", ");
  return [
    pending.length > 0 && !isNew ? `${pending.length} migrations are to come with the next start: ${names}` : undefined,
  ];
}

/** The checks of a configuration, without a start. */
const checksOf = (config: Config, now: Date): readonly (readonly [string, Check])[] => [
  ["key file", () => readKeyFile(config.keyFile).then(() => [])],
  ["database, its migrations and keys", () => databaseFaults(config)],
  ["certificates", async () => (await lookAtCertificates(config, now)).map(({ fault }) => fault)],
  ["places that are written to", () => unwritable(config)],
  [
    "disk space",
    async () => [await spaceFault(config.erasureLedger), await spaceFault(config.backup.folder ?? config.dataDir)],
  ],
  ["age of backups", async () => [await backupFault(config, now)]],
  ...config.issuers.flatMap((issuer) => [
    [`keys of ${issuer.issuer}`, async () => [await (await openIssuer(issuer)).lookAtKeys()]] as const,
    [`clock against ${issuer.issuer}`, async () => [(await lookAtIssuerClock(issuer))?.fault]] as const,
  ]),
];

/** What is asked of a running instance. */
function instanceChecks(io: Io, context: string | undefined): readonly (readonly [string, Check])[] {
  const { listScheduledTasks: method } = InternalMfaService.method;
  const tasks = () =>
    connected(io, context, async ({ unary }) => {
      const reply = (await unary(method, create(method.input, { pageSize: 250 }))) as ListScheduledTasksResponse;
      return reply.tasks.map(({ name, lastError }) =>
        lastError === ""
          ? undefined
          : `the task ${name} failed: ${lastError}; \`mfactl admin list-scheduled-task-runs --task-name ${name}\``,
      );
    });
  return [["running instance: answers, and its scheduled tasks", tasks]];
}

function settingsOf(io: Io, isDev: boolean): { config?: Config; faults: readonly string[] } {
  try {
    return { config: loadConfig(isDev ? ["--dev"] : [], io.env), faults: [] };
  } catch (error) {
    if (error instanceof ConfigError) return { faults: error.lines };
    throw error;
  }
}

/** `doctor`: all checks of a configuration and of a running instance, as a table with remedies. */
export function doctorCommand(io: Io): Command {
  return new Command("doctor")
    .description("checks the settings, what they name, and a running instance, and says what mends it")
    .option("--dev", "of dev mode")
    .option("--no-instance", "only the settings, without a call to a running service")
    .option("--no-settings", "only the running service")
    .option("--json [request]", "print JSON")
    .action(async ({ dev = false, instance, settings, json }, command: Command) => {
      const { config, faults } = settings ? settingsOf(io, dev) : { faults: [] };
      const read: Finding[] = faults.map((text) => ({ check: "settings", isOk: false, text }));
      if (config) read.push({ check: "settings", isOk: true, text: config.mode });
      const checks = [
        ...(config ? checksOf(config, io.now()) : []),
        ...(instance ? instanceChecks(io, command.optsWithGlobals<Globals>().context) : []),
      ];
      const found = await Promise.all(checks.map(([check, look]) => findingsOf(check, look)));
      const findings = [...read, ...found.flat()];
      if (json !== undefined) io.out(`${JSON.stringify(findings, null, 2)}\n`);
      else
        io.out(
          tableOf(
            ["", "check", "remark"],
            findings.map(({ check, isOk, text }) => [isOk ? "ok" : "WRONG", check, text]),
          ),
        );
      if (findings.some(({ isOk }) => !isOk)) command.setOptionValue("exit", EXIT.refused);
    });
}
