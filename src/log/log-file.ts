import { fstatSync, write, writeSync } from "node:fs";

/** Where the log goes. It takes lines at once, whatever becomes of them. */
export interface LogFile {
  /** Takes one line, with its end. Never throws and never waits. */
  write(line: string): void;
  /** How many lines could not be kept, since the start. */
  lost(): number;
  /** Resolves when everything was written, or the time is over. */
  flush(withinMs: number): Promise<void>;
  /** Writes what is left, at the end of the process, unless a write may be stuck. */
  flushAtExit(): void;
}

/** What lines may take while they wait for room; lines beyond it are counted. */
const MAX_BYTES = 1024 * 1024;
/** How long after a failed write the next is tried. */
const PAUSE_MS = 250;

const writeSome = (fd: number, bytes: Buffer) =>
  new Promise<{ readonly written: number; readonly failed: boolean }>((resolve) => {
    write(fd, bytes, (error, written) => resolve({ written: error ? 0 : written, failed: error !== null }));
  });

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}

const lossOf = (lost: number): Buffer[] => {
  const told = { level: 40, time: Date.now(), name: "mfa-service", lost, msg: "lines of the log could not be written" };
  return lost > 0 ? [Buffer.from(`${JSON.stringify(told)}\n`)] : [];
};

/**
 * A log on a file descriptor that may be full, slow or gone: lines wait in memory, up to 1 MiB, and are written beside
 * the service, in order. A full file system, a pipe that nobody reads and one that is closed cost lines, which are counted
 * and told when there is room, and nothing else.
 */
export function openLogFile(fd: number, { maxBytes = MAX_BYTES, pauseMs = PAUSE_MS } = {}): LogFile {
  let waiting: Buffer[] = [];
  /** What is being written: whole lines at first, then what is left of them. */
  let going = Buffer.alloc(0);
  let heldBytes = 0;
  let lost = 0;
  let untold = 0;
  let isWriting = false;
  let idle: (() => void)[] = [];

  const next = () => {
    going = Buffer.concat([...lossOf(untold), ...waiting]);
    heldBytes = going.length;
    [waiting, untold] = [[], 0];
  };

  async function pump(): Promise<void> {
    isWriting = true;
    while (going.length > 0 || waiting.length > 0 || untold > 0) {
      if (going.length === 0) next();
      const { written, failed } = await writeSome(fd, going);
      going = going.subarray(written);
      heldBytes -= written;
      if (failed) await new Promise((resolve) => setTimeout(resolve, pauseMs).unref());
    }
    isWriting = false;
    for (const resolve of idle.splice(0)) resolve();
  }

  return {
    write(line) {
      const bytes = Buffer.from(line);
      if (heldBytes + bytes.length > maxBytes) {
        lost++;
        untold++;
      } else {
        waiting.push(bytes);
        heldBytes += bytes.length;
      }
      if (!isWriting) void pump();
    },
    lost: () => lost,
    async flush(withinMs) {
      if (!isWriting) return;
      await new Promise<void>((resolve) => {
        idle = [...idle, resolve];
        setTimeout(resolve, withinMs).unref();
      });
    },
    flushAtExit() {
      // A write may be stuck in a pipe; one into a file never is.
      if (waiting.length === 0 || (isWriting && !isFile(fd))) return;
      try {
        writeSync(fd, Buffer.concat(waiting));
      } catch {
        // Nobody is left to be told.
      }
    },
  };
}
