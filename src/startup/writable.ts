import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Config, ConfigError } from "../config/config.ts";
import { isPseudo } from "../config/database-url.ts";

const user = () => `uid ${process.getuid?.() ?? "unknown"}`;

const codeOf = (error: unknown) => String((error as NodeJS.ErrnoException).code ?? error);

const REASONS: Readonly<Record<string, string>> = {
  EACCES: `the user of the service (${user()}) may not write there`,
  EPERM: `the user of the service (${user()}) may not write there`,
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file",
};

/** What is to be written to. */
interface Place {
  readonly setting: string;
  readonly path: string;
  readonly kind: "file" | "folder";
  /** A path that works on most systems. */
  readonly example: string;
}

/** Throws what stops a write. Changes nothing: folders that are missing are made by the first write. */
async function tryWriting(path: string, kind: Place["kind"]): Promise<void> {
  if (isPseudo(path)) throw new Error("this is a pseudo file system, which keeps nothing");
  const found = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (!found) return dirname(path) === path ? undefined : tryWriting(dirname(path), "folder");
  if (found.isDirectory() !== (kind === "folder"))
    throw new Error(kind === "file" ? "a folder is there" : "a file is there");
  await access(path, kind === "file" ? constants.W_OK : constants.W_OK | constants.X_OK);
}

async function faultOf({ setting, path, kind, example }: Place): Promise<string | undefined> {
  const whole = resolve(path);
  try {
    await tryWriting(whole, kind);
    return undefined;
  } catch (error) {
    const code = codeOf(error);
    const reason = REASONS[code] ?? (error as Error).message;
    const otherwise = code === "EACCES" || code === "EPERM" ? ", or let that user write there" : "";
    const relative = whole === path ? "" : ` ("${path}" from the working directory ${process.cwd()})`;
    return `${setting}: ${whole}${relative} cannot be written: ${reason}; set "${setting}": "${example}"${otherwise}`;
  }
}

/** What a service writes beside its database: the record of erasures, and copies. */
const placesOf = ({ erasureLedger, backup: { folder } }: Config): Place[] => [
  { setting: "erasureLedger", path: erasureLedger, kind: "file", example: "/var/lib/mfa/erasures.jsonl" },
  ...(folder === undefined
    ? []
    : [{ setting: "backup.folder", path: folder, kind: "folder" as const, example: "/var/lib/mfa/backups" }]),
];

/** Returns a line for each place that the service is to write to and cannot. */
export async function unwritable(config: Config): Promise<string[]> {
  const faults = await Promise.all(placesOf(config).map(faultOf));
  return faults.filter((fault) => fault !== undefined);
}

/** Throws ConfigError where the service could not write what it must: an erasure would fail long after the start. */
export async function requireWritable(config: Config): Promise<void> {
  const faults = await unwritable(config);
  if (faults.length > 0) throw new ConfigError(faults);
}
