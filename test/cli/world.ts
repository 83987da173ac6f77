import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Io } from "../../src/cli/mfactl/io.ts";
import { runMfactl } from "../../src/cli/mfactl/program.ts";

/** What a command left behind. */
export interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

/** A person at a terminal, or a script where nobody answers. */
export function operator(env: Readonly<Record<string, string>> = {}, given: Partial<Io> = {}) {
  const home = mkdtempSync(join(tmpdir(), "mfactl-"));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  const run = async (argv: readonly string[], stdin = ""): Promise<Ran> => {
    let [out, err] = ["", ""];
    const io: Io = {
      env: { HOME: home, PATH: process.env.PATH ?? "", ...env },
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      stdin: async () => stdin,
      isTty: false,
      width: 100,
      ask: async () => false,
      now: () => new Date(),
      signal: new AbortController().signal,
      ...given,
    };
    return { exit: await runMfactl(argv, io), out, err };
  };
  return { home, run };
}
