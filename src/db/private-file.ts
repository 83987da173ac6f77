import { closeSync, existsSync, openSync } from "node:fs";

/** Creates a file that only we may read. Never opened when it exists: closing it would drop this process's locks on it. */
export function createPrivately(path: string): void {
  if (!existsSync(path)) closeSync(openSync(path, "a", 0o600));
}
