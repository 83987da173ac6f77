import { readFileSync } from "node:fs";
import { type JsonPlaces, NoJson, readPlaces } from "./json-places.ts";

/** The settings as they were read, and how their faults are told. */
export interface SettingsSource {
  readonly settings: Readonly<Record<string, unknown>>;
  /** Returns a fault of a setting in one line: file and line where the file has it, then its path, then what is wrong. */
  at(path: readonly PropertyKey[], text: string): string;
  /** What the file says twice, one line each. */
  readonly faults: readonly string[];
}

const READING: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "this is a folder, no file",
  EACCES: `the user of the service (uid ${process.getuid?.() ?? "unknown"}) may not read it`,
};

const name = (path: readonly PropertyKey[]) => path.map(String).join(".");

/** The settings file cannot be used as a whole; the message is one line. */
export class NoSettings extends Error {
  override readonly name = "NoSettings";
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    throw new NoSettings(`MFA_CONFIG=${file}: ${READING[code] ?? `it cannot be read (${code})`}`);
  }
}

function placesOf(file: string, text: string): JsonPlaces {
  if (text.includes("\0")) throw new NoSettings(`${file}: this is no text in UTF-8`);
  try {
    return readPlaces(text);
  } catch (error) {
    if (!(error instanceof NoJson)) throw error;
    throw new NoSettings(`${file}:${error.line}:${error.column}: ${error.message}`);
  }
}

/** Reads the file that MFA_CONFIG names; without one there are no settings. Throws NoSettings. */
export function readSource(file: string | undefined): SettingsSource {
  if (!file) return { settings: {}, at: (path, text) => `${name(path)}: ${text}`, faults: [] };
  const text = textOf(file);
  const places = placesOf(file, text);
  const settings: unknown = JSON.parse(text);
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) {
    throw new NoSettings(`${file}:1: the settings are one object, {"database": …}`);
  }
  const at = (path: readonly PropertyKey[], fault: string) => {
    const line = places.line(path);
    return `${line === undefined ? "" : `${file}:${line}: `}${name(path)}: ${fault}`;
  };
  const faults = places.twice.map(({ path, line }) => `${file}:${line}: ${path}: stands here twice: keep one`);
  return { settings: settings as Record<string, unknown>, at, faults };
}
