import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";

/** The repository, where commands run. */
export const root = join(import.meta.dirname, "../..");

const READY = /ready on ([^\s]+):(\d+) \(grpc\)/;
const READY_MS = 30_000;

/** What a finished command left behind. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command under way; `outcome` settles when it has ended and closed its output. */
export interface Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
  /** Waits until its output matches; fails when it ends before. */
  saw(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Starts a command in the repository. */
export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: "pipe" });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const outcome = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }));
  return {
    child,
    outcome,
    saw: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(stdout);
          if (match) resolve(match);
        };
        child.stdout.on("data", look);
        outcome.then(
          () => reject(new Error(`${command} ended without ${pattern}:\n${stdout}${stderr}`)),
          (error: unknown) => reject(error),
        );
        look();
      }),
  };
}

/** Runs a command to its end. A limit makes one that hangs a failure instead of a stuck run. */
export async function run(
  command: string,
  args: readonly string[],
  { env, input = "", limitMs = 30_000 }: { env?: NodeJS.ProcessEnv; input?: string; limitMs?: number } = {},
): Promise<Outcome> {
  const { child, outcome } = start(command, args, env);
  child.stdin?.on("error", () => {}); // of one that ends without having read
  child.stdin?.end(input);
  const limit = setTimeout(() => child.kill("SIGKILL"), limitMs);
  return outcome.finally(() => clearTimeout(limit));
}

/** The service as a process of its own, in dev mode on a free port over a fresh folder, on the real clock. */
export async function startService() {
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-interop-"));
  const service = start(process.execPath, ["src/main.ts", "--dev"], {
    MFA_PORT: "0",
    MFA_GATEWAY_PORT: "0",
    MFA_ADMIN_PORT: "0",
    MFA_INTERNAL_PORT: "0",
    MFA_HOST: "127.0.0.1",
    MFA_DATA_DIR: dataDir,
    MFA_DATABASE_URL: "",
    MFA_KEY_FILE: "",
    MFA_CONFIG: "",
  });
  const limit = setTimeout(() => service.child.kill("SIGKILL"), READY_MS);
  const [, host, port] = await service.saw(READY).finally(() => clearTimeout(limit));
  return {
    address: `${host}:${port}`,
    url: `http://${host}:${port}`,
    user: (subject: string, acr: "aal1" | "aal2" = "aal1") => mintDevToken(dataDir, { audience: "mfa", subject, acr }),
    backend: (scope: string) => mintDevToken(dataDir, { audience: "mfa-internal", subject: "shop", scope }),
    /** Stops it as an operator does, and answers how it ended. */
    stop: async () => {
      service.child.kill("SIGTERM");
      const outcome = await service.outcome;
      await rm(dataDir, { recursive: true, force: true });
      return outcome;
    },
  };
}

/** A service in a process of its own. */
export type ServiceProcess = Awaited<ReturnType<typeof startService>>;
