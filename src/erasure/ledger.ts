import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../core/write-once.ts";

/** An entry of the ledger. */
export interface LedgerEntry {
  readonly tenantId: string;
  readonly userDigest: string;
  readonly erasureId: string;
  readonly eraseTime: string;
}

/** Returns the key of an entry's erasure. */
export const entryKeyOf = ({ tenantId, userDigest, erasureId }: Omit<LedgerEntry, "eraseTime">): string =>
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
 * The erasure ledger: a file outside of the database, to which erasures are written before anything is deleted. A
 * database restored from a backup lacks later erasures; the file has them. It names no user. Lines are only ever added.
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

    /** Appends entries; they are on disk when it resolves. */
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
