import { readFileSync } from "node:fs";

/** Returns the version in the package's own file, which lies above the sources and above the bundle alike. */
export function versionOf(): string {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return String(version);
}
