import { Command } from "commander";
import { ConfigError, loadConfig, loadIssuers } from "../../config/config.ts";
import { VARIABLES } from "../../config/variables.ts";
import { nearest } from "../../core/nearest.ts";
import { inspectKeys } from "../../crypto/key-check.ts";
import { addKey, createKeyFile, makePrimary, readKeyFile } from "../../crypto/key-file.ts";
import { peekInto } from "../../db/peek.ts";
import { copyDatabase, restoreDatabase, sqlitePathOf } from "../../db/sqlite-restore.ts";
import { mintDevToken, openDevIssuer } from "../../dev/dev-issuer.ts";
import { openIssuer } from "../../rpc/access/tokens/configured.ts";
import { explainToken } from "../../rpc/access/tokens/explain.ts";
import { devClaims } from "./dev-claims.ts";
import { EXIT, type Exit, type Io, Stop, usage } from "./io.ts";
import { tableOf } from "./print.ts";
import { contentOf } from "./request.ts";
import { explainSetting } from "./setting-help.ts";
import { confirm, type Globals } from "./verbs.ts";

/** Ends a command with an exit code after it has printed. */
const endWith = (command: Command, exit: Exit) => command.setOptionValue("exit", exit);

/** Reads the settings as a start does; throws Stop with its lines. */
export function configOf(io: Io, isDev = false) {
  try {
    return loadConfig(isDev ? ["--dev"] : [], io.env);
  } catch (error) {
    if (error instanceof ConfigError) throw new Stop(EXIT.refused, error.lines.join("\n"));
    throw error;
  }
}

/** Turns the errors of files and databases into refusals. */
export async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Stop) throw error;
    throw new Stop(EXIT.refused, (error as Error).message);
  }
}

const SECRET_WORDS = /(:\/\/[^:/@]+:)[^@]+@/;

/** `config check|print|explain`. */
export function configCommand(io: Io): Command {
  const group = new Command("config").description("looks at the settings that a start of the service would read");
  const dev = ["--dev", "as dev mode reads them"] as const;
  group
    .command("check")
    .description("says what is wrong with them, or that nothing is")
    .option(...dev)
    .action((options) => {
      const { mode, database, listeners } = configOf(io, options.dev);
      const where = listeners.map(({ kind, host, port }) => `${kind} on ${host}:${port}`).join(", ");
      io.out(`The settings are good: ${mode}, ${database.replace(SECRET_WORDS, "$1…@")}, ${where}.\n`);
    });
  group
    .command("print")
    .description("prints them whole, with defaults, without secrets")
    .option(...dev)
    .action((options) => {
      const hidden = (name: string, value: unknown) =>
        /^(secret|password|authToken|receiptToken|serviceAccount|privateKey)$/.test(name) ? "…" : value;
      const { database, ...rest } = configOf(io, options.dev);
      io.out(`${JSON.stringify({ database: database.replace(SECRET_WORDS, "$1…@"), ...rest }, hidden, 2)}\n`);
    });
  group
    .command("explain")
    .argument("<name>", "a setting, listeners.port, or a variable, MFA_PORT")
    .description("says what a setting is for, its type and its default")
    .action((name: string) => {
      const variables: Readonly<Record<string, string>> = VARIABLES;
      const text = variables[name] ?? explainSetting(name);
      if (text === undefined) {
        const meant = nearest(name, Object.keys(VARIABLES));
        throw usage(`there is no setting ${name}${meant ? `: did you mean ${meant}?` : ""}`);
      }
      io.out(`${name}: ${text}\n`);
    });
  return group;
}

/** `keys new|add|primary|status|check`. */
export function keysCommand(io: Io): Command {
  const group = new Command("keys").description("makes, changes and checks the operator's key file");
  group
    .command("new")
    .argument("<path>")
    .description("writes a key file, once")
    .action((path: string) =>
      refusing(async () => {
        if (!(await createKeyFile(path))) throw new Stop(EXIT.refused, `${path} exists already and was left alone.`);
        io.out(
          `Wrote ${path}. Keep a copy apart from the database: without it no enrolled secret can be read again.\n`,
        );
      }),
    );
  group
    .command("add")
    .argument("<path>")
    .description("adds a key; restart every instance with the file before `primary`")
    .action((path: string) =>
      refusing(async () => {
        const id = await addKey(path);
        io.out(`Added ${id}. Restart every instance with this file, then: mfactl keys primary ${path} ${id}\n`);
      }),
    );
  group
    .command("primary")
    .argument("<path>")
    .argument("<id>")
    .description("has a key be the primary one from the next start on")
    .action((path: string, id: string) =>
      refusing(async () => {
        await makePrimary(path, id);
        io.out(`${id} is the primary key from the next start on. Keep the others in the file.\n`);
      }),
    );
  group
    .command("status")
    .description("lists the keys of the settings' file, and what the database still needs of them")
    .option("--dev")
    .action((options) =>
      refusing(async () => {
        const { keyFile, database } = configOf(io, options.dev);
        const { primary, all } = await readKeyFile(keyFile);
        const { rows } = await peekInto(database, ["key_checks", "data_keys"]);
        const wrapped = (id: string) => (rows.data_keys ?? []).filter((row) => row.wrapping_key_id === id).length;
        const known = new Set((rows.key_checks ?? []).map((row) => String(row.key_id)));
        const listed = [...new Set([...all.keys(), ...known])].map((id) => [
          ...[
            id,
            id === primary.id ? "primary" : "",
            all.has(id) ? "yes" : "MISSING",
            known.has(id) ? "yes" : "not yet",
          ],
          String(wrapped(id)),
        ]);
        io.out(tableOf(["key", "role", "in the file", "known to the database", "data keys it wraps"], listed));
      }),
    );
  group
    .command("check")
    .description("says whether the key file fits the database")
    .option("--dev")
    .action((options) =>
      refusing(async () => {
        const { keyFile, database } = configOf(io, options.dev);
        const keys = await readKeyFile(keyFile);
        const { rows } = await peekInto(database, ["key_checks"]);
        inspectKeys(keys).check(rows.key_checks ?? []);
        io.out(`The keys of ${keyFile} are those of the database.\n`);
      }),
    );
  return group;
}

/** `migrate --dry-run`: what the next start would change in the database. */
export function migrateCommand(io: Io): Command {
  return new Command("migrate")
    .description("lists the migrations that the next start applies; the start itself applies them")
    .option("--dry-run", "list them")
    .option("--dev", "of dev mode's database")
    .action(({ dryRun, dev }) =>
      refusing(async () => {
        if (!dryRun)
          throw usage(
            "the service migrates at its start, under a lock: `mfactl migrate --dry-run` lists what it would do",
          );
        const { pending, isNew } = await peekInto(configOf(io, dev).database);
        if (pending.length === 0) io.out("The database is up to date.\n");
        else
          io.out(
            `${isNew ? "A new database: " : ""}${pending.length} to apply:\n${pending.map((name) => `  ${name}\n`).join("")}`,
          );
      }),
    );
}

/** `backup` and `restore` of SQLite. */
export function backupCommands(io: Io): Command[] {
  const pathOf = (dev: boolean | undefined) => {
    const path = sqlitePathOf(configOf(io, dev).database);
    if (path === undefined) throw usage("PostgreSQL is backed up and restored by its own tools: pg_dump, pg_restore");
    return path;
  };
  const backup = new Command("backup")
    .argument("<file>", "where the copy goes")
    .description("copies the SQLite database, while the service runs or not")
    .option("--dev")
    .action((file: string, { dev }) =>
      refusing(async () => {
        await copyDatabase(pathOf(dev), file, io.signal);
        io.out(`Wrote ${file}. Without the key file it is of no use: keep both, apart from each other.\n`);
      }),
    );
  const restore = new Command("restore")
    .argument("<file>", "the copy")
    .description("puts a copy in the place of the SQLite database of a service that is stopped")
    .option("--dev")
    .action((file: string, { dev }, command: Command) =>
      refusing(async () => {
        await confirm(io, command.optsWithGlobals<Globals>(), "restore");
        const aside = restoreDatabase(file, pathOf(dev), io.now());
        io.out(
          `Restored ${file}.${aside ? ` What was there is ${aside}.` : ""} Start the service: it erases again who was erased since.\n`,
        );
      }),
    );
  return [backup, restore];
}

/** `token explain`. */
export function tokenCommand(io: Io): Command {
  const group = new Command("token").description("looks at access tokens");
  group
    .command("explain")
    .argument("[token]", "@file reads a file; default: standard input")
    .description("goes through every check of a token, with the setting that would change its verdict")
    .option("--dev", "take tokens of dev mode, too")
    .action((given: string | undefined, { dev }, command: Command) =>
      refusing(async () => {
        const { issuers, devIssuerIn } = loadIssuers(dev ? ["--dev"] : [], io.env);
        const opened = await Promise.all(issuers.map(openIssuer));
        const known = devIssuerIn === undefined ? opened : [...opened, await openDevIssuer(devIssuerIn)];
        const token = (await contentOf(given ?? "@-", io)).trim();
        const { isAccepted, lines } = await explainToken(token, known, io.now());
        io.out(lines.map((line) => `${line}\n`).join(""));
        if (!isAccepted) endWith(command, EXIT.refused);
      }),
    );
  return group;
}

/** `dev token`. */
export function devCommand(io: Io): Command {
  const group = new Command("dev").description("for a service in dev mode on this machine");
  group
    .command("token")
    .argument("<kind>", "user, service or admin")
    .argument("<id>")
    .description("mints an access token of dev mode's issuer, good for an hour")
    .option("--tenant <id>", "the tenant", "dev")
    .option("--scope <scopes>", "default: every scope there is")
    .option("--aal1", "an administrator without a second factor")
    .option("--aal2", "a user with a second factor")
    .action((kind: string, id: string, options) =>
      refusing(async () => {
        const claims = devClaims(kind, id, options);
        if (!claims) throw usage(`"${kind}" is none of user, service, admin`);
        const { dataDir } = configOf(io, true);
        const token = await mintDevToken(io.env.MFACTL_DEV_DATA_DIR || dataDir, claims, io.now()).catch(() => {
          throw new Stop(EXIT.refused, "there is no dev mode here yet: run `npm start` first");
        });
        io.out(`${token}\n`);
      }),
    );
  return group;
}
