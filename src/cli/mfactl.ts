import { createInterface } from "node:readline/promises";
import { text } from "node:stream/consumers";
import type { Io } from "./mfactl/io.ts";
import { runMfactl } from "./mfactl/program.ts";

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());

async function ask(question: string): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await reader.question(question, { signal: interrupted.signal })).trim());
  } finally {
    reader.close();
  }
}

const io: Io = {
  env: process.env,
  out: (written) => void process.stdout.write(written),
  err: (written) => void process.stderr.write(written),
  stdin: () => text(process.stdin),
  isTty: Boolean(process.stdin.isTTY && process.stdout.isTTY),
  width: process.stdout.columns ?? 100,
  ask,
  now: () => new Date(),
  signal: interrupted.signal,
};

// Of `mfactl … | head`, nobody reads the rest.
process.stdout.on("error", () => process.exit(0));
const exit = await runMfactl(process.argv.slice(2), io);
process.stdout.write("", () => process.exit(exit));
