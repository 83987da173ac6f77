import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { nearest } from "../../core/nearest.ts";
import { type Io, usage } from "./io.ts";

const context = v.strictObject({
  /** "https://mfa.example:11005", of a gRPC listener. */
  address: v.string(),
  /** The CA of the server, PEM, where it is not a public one. */
  caFile: v.optional(v.string()),
  /** A client's certificate and key, PEM, for a listener with mtls. */
  certFile: v.optional(v.string()),
  keyFile: v.optional(v.string()),
  /** Prints an access token; finds the audience that it is for in MFACTL_AUDIENCE. */
  tokenCommand: v.optional(v.string()),
  /** A file with an administrator's access token. */
  tokenFile: v.optional(v.string()),
  /** A file with a service key, for the calls of backends. */
  serviceKeyFile: v.optional(v.string()),
  /** The data folder of a dev mode on this machine, whose tokens are minted. */
  devDataDir: v.optional(v.string()),
});

const contextsFile = v.strictObject({ current: v.optional(v.string()), contexts: v.record(v.string(), context) });

/** Where a service is and how its operator proves who they are. */
export type Context = v.InferOutput<typeof context>;

/** The contexts of a person. */
export type Contexts = v.InferOutput<typeof contextsFile>;

/** The settings of a context, each an option of `context set`. */
export const CONTEXT_SETTINGS: Readonly<Record<keyof Context, string>> = {
  address: "the gRPC listener: https://mfa.example:11005",
  caFile: "the CA of the server (PEM), where it is not a public one",
  certFile: "a client certificate (PEM), for a listener with mtls",
  keyFile: "the key of the client certificate (PEM)",
  tokenCommand: "a command that prints an access token for the audience in MFACTL_AUDIENCE",
  tokenFile: "a file with an administrator's access token",
  serviceKeyFile: "a file with a service key, for the calls of backends",
  devDataDir: "the data folder of a dev mode on this machine, whose tokens are minted",
};

const DEV: Context = { address: "http://127.0.0.1:11005", devDataDir: "data" };

/** Returns the path of the contexts' file. */
export const contextsPath = ({ env }: Pick<Io, "env">): string =>
  env.MFACTL_CONFIG || join(env.XDG_CONFIG_HOME || join(env.HOME || ".", ".config"), "mfactl.json");

/** Reads the contexts; there are none before the first was written. Throws Stop. */
export function readContexts(io: Pick<Io, "env" | "err">): Contexts {
  const path = contextsPath(io);
  let text: string;
  try {
    if (process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0) {
      io.err(`others may read ${path}: run chmod 600 ${path}\n`);
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { contexts: {} };
    throw usage(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  try {
    const read = v.safeParse(contextsFile, JSON.parse(text));
    if (read.success) return read.output;
    throw usage(`${path}: ${v.getDotPath(read.issues[0]) ?? "it"} is not what a file of contexts holds`);
  } catch (error) {
    if (error instanceof SyntaxError) throw usage(`${path} is no JSON`);
    throw error;
  }
}

/** Writes the contexts, for their owner only. */
export function writeContexts(io: Pick<Io, "env">, contexts: Contexts): void {
  const path = contextsPath(io);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600 });
}

const named = ({ contexts }: Contexts, name: string): Context => {
  const found = contexts[name];
  if (found) return found;
  const meant = nearest(name, Object.keys(contexts));
  throw usage(
    `there is no context ${name}${meant ? `: did you mean ${meant}?` : ": `mfactl context list` shows them"}`,
  );
};

/** Returns the context that a call goes to: the one that is named, the current one, or dev mode on this machine; the environment goes first. */
export function chosenContext(io: Pick<Io, "env" | "err">, name: string | undefined): Context {
  const { env } = io;
  const file = readContexts(io);
  const wanted = name || env.MFACTL_CONTEXT || file.current;
  const found = wanted ? named(file, wanted) : DEV;
  const over = {
    ...(env.MFACTL_ADDRESS && { address: env.MFACTL_ADDRESS }),
    ...(env.MFACTL_CA_FILE && { caFile: env.MFACTL_CA_FILE }),
    ...(env.MFACTL_TOKEN_COMMAND && { tokenCommand: env.MFACTL_TOKEN_COMMAND }),
    ...(env.MFACTL_DEV_DATA_DIR && { devDataDir: env.MFACTL_DEV_DATA_DIR }),
  };
  return { ...found, ...over };
}
