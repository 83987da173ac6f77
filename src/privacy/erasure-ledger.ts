import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../core/write-once.ts";

/** An erasure as the ledger has it. */
export interface LedgerEntry {
  readonly tenantId: string;
  readonly userDigest: string;
  readonly erasureId: string;
  readonly eraseTime: string;
}

/** Says which erasure an entry is of. */
export const keyOf = ({ tenantId, userDigest, erasureId }: Omit<LedgerEntry, "eraseTime">): string =>
  JSON.stringify([tenantId, userDigest, erasureId]);

function readLine(line: string): LedgerEntry | undefined {
  try {
    const { tenantId, userDigest, erasureId, eraseTime } = JSON.parse(line);
    const texts = [tenantId, userDigest, erasureId, eraseTime];
    return texts.every((text) => typeof text === "string") ? { tenantId, userDigest, erasureId, eraseTime } : undefined;
  } catch {
    return undefined; // the end of a line that a power cut left
  }
}

/**
 * A file beside the database that erasures are written to before anything is deleted: a database that is put back to
 * an earlier state has forgotten them, the file has not. It names nobody. Lines are only ever added.
 */
export function openLedger(path: string) {
  return {
    async list(): Promise<LedgerEntry[]> {
      const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return "";
        throw error;
      });
      return text.split("\n").flatMap((line) => readLine(line) ?? []);
    },

    /** Adds entries; they are on disk when it resolves. */
    async append(entries: readonly LedgerEntry[]): Promise<void> {
      if (entries.length === 0) return;
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const file = await open(path, "a", 0o600);
      try {
        // A line of its own, whatever a power cut left of the one before.
        await file.appendFile(entries.map((entry) => `\n${JSON.stringify(entry)}\n`).join(""));
        await file.sync();
      } finally {
        await file.close();
      }
      await syncFolder(dirname(path)); // the first line makes the file
    },
  };
}

/** Where erasures outlive the database. */
export type Ledger = ReturnType<typeof openLedger>;
