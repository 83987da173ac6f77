import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { Mode } from "./db/installation.ts";

const filePath = v.pipe(v.string(), v.minLength(1));

/** The settings file (JSON). Unknown settings are refused, so that a misspelt one is never silently a default. */
const settingsSchema = v.strictObject({
  listen: v.optional(
    v.strictObject({
      /** Address to bind: "127.0.0.1", "0.0.0.0", "::". Default 127.0.0.1. */
      host: v.optional(v.string(), "127.0.0.1"),
      /** TCP port of the gRPC listener, 0 for a free one. Default 11005. */
      port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535)), 11005),
      /** PEM files of the listener's own TLS. */
      tls: v.optional(v.strictObject({ certFile: filePath, keyFile: filePath })),
      /** The proxy or mesh that terminates TLS in front, by name: "envoy sidecar". Its word instead of `tls`. */
      terminatedBy: v.optional(v.pipe(v.string(), v.minLength(1))),
    }),
    {},
  ),
  /** Folder for what dev mode generates. Default ./data. */
  dataDir: v.optional(filePath, "./data"),
  /** "sqlite:<path>" or "postgres://…". In dev mode defaults to sqlite:<dataDir>/mfa.db. */
  database: v.optional(v.string()),
  /** The wrapping keys and peppers (JSON, mode 0600). In dev mode generated in dataDir. */
  keyFile: v.optional(filePath),
  /** Who signs the tokens of callers: exact `iss`, its JWKS as a file, and its tenant if its tokens carry no `tid`. */
  issuers: v.optional(
    v.array(
      v.strictObject({
        issuer: v.pipe(v.string(), v.minLength(1)),
        jwksFile: filePath,
        tenant: v.optional(v.pipe(v.string(), v.minLength(1))),
      }),
    ),
    [],
  ),
  /** Whether gRPC reflection answers. Default: in dev mode only. */
  reflection: v.optional(v.boolean()),
  totp: v.optional(
    v.strictObject({
      /** The name that authenticator apps show for this service; no ':'. Default "MFA Service". */
      issuer: v.optional(v.pipe(v.string(), v.regex(/^[^:\p{C}]{1,64}$/u)), "MFA Service"),
    }),
    {},
  ),
});

type Settings = v.InferOutput<typeof settingsSchema>;

/** What the process runs with: validated, complete, frozen. */
export interface Config extends Readonly<Settings> {
  readonly mode: Mode;
  readonly listen: Required<Pick<NonNullable<Settings["listen"]>, "host" | "port">> & NonNullable<Settings["listen"]>;
  readonly database: string;
  readonly keyFile: string;
  readonly reflection: boolean;
}

/** The start cannot go on; each line says what is missing or wrong, and what mends it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join("\n"));
    this.lines = lines;
  }
}

type Env = Readonly<Record<string, string | undefined>>;

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

function readSettings({ MFA_CONFIG: path }: Env): object {
  if (!path) return {};
  try {
    const settings: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof settings === "object" && settings !== null && !Array.isArray(settings)) return settings;
  } catch (error) {
    throw new ConfigError([`MFA_CONFIG=${path}: ${(error as Error).message}`]);
  }
  throw new ConfigError([`MFA_CONFIG=${path}: the settings are not a JSON object`]);
}

function override(settings: object, env: Env): unknown {
  const { listen = {} } = settings as { listen?: unknown };
  const given = <T>(name: string, value: string | undefined, parse: (text: string) => T) =>
    value === undefined || value === "" ? {} : { [name]: parse(value) };
  return {
    ...settings,
    ...given("dataDir", env.MFA_DATA_DIR, String),
    ...given("database", env.MFA_DATABASE_URL, String),
    ...given("keyFile", env.MFA_KEY_FILE, String),
    ...(typeof listen === "object" && {
      listen: { ...listen, ...given("host", env.MFA_HOST, String), ...given("port", env.MFA_PORT, Number) },
    }),
  };
}

function devConfig(settings: Settings, env: Env): Config {
  const wrong: string[] = [];
  const host = settings.listen.host ?? "127.0.0.1";
  if (!LOOPBACK.has(host)) wrong.push(`dev mode listens on loopback only: set MFA_HOST=127.0.0.1 instead of ${host}`);
  if (env.NODE_ENV === "production") wrong.push("dev mode refuses NODE_ENV=production: drop --dev or unset NODE_ENV");
  if (wrong.length > 0) throw new ConfigError(wrong);
  return {
    ...settings,
    mode: "dev",
    listen: settings.listen as Config["listen"],
    database: settings.database ?? `sqlite:${join(settings.dataDir, "mfa.db")}`,
    keyFile: settings.keyFile ?? join(settings.dataDir, "keys.json"),
    reflection: settings.reflection ?? true,
  };
}

function productionConfig(settings: Settings): Config {
  const { listen, database, keyFile, issuers } = settings;
  const missing: string[] = [];
  if (!database) missing.push("no database: set MFA_DATABASE_URL=sqlite:/var/lib/mfa/mfa.db or postgres://…");
  if (!keyFile)
    missing.push("no keys: run `npm run keys -- /etc/mfa/keys.json`, then set MFA_KEY_FILE=/etc/mfa/keys.json");
  if (issuers.length === 0)
    missing.push('no issuers: add "issuers": [{"issuer": …, "jwksFile": …}] to the file of MFA_CONFIG');
  if (!listen.tls && !listen.terminatedBy) {
    missing.push(
      'no TLS: add "listen": {"tls": {"certFile": …, "keyFile": …}} or {"terminatedBy": "<proxy>"} to the file of MFA_CONFIG',
    );
  }
  for (const { issuer } of issuers) {
    if (issuer.startsWith("urn:mfa:dev:")) missing.push(`issuer ${issuer} is a dev mode's: configure the real one`);
  }
  if (missing.length > 0 || !database || !keyFile) {
    throw new ConfigError([...missing, "To try the service without any of this, run `npm start` (dev mode)."]);
  }
  const complete = { database, keyFile, reflection: settings.reflection ?? false };
  return { ...settings, ...complete, mode: "production", listen: listen as Config["listen"] };
}

/**
 * Reads the settings file named by MFA_CONFIG, applies MFA_HOST, MFA_PORT, MFA_DATA_DIR, MFA_DATABASE_URL and
 * MFA_KEY_FILE over it, and completes it for the mode. The mode is dev only where the command line says `--dev`.
 */
export function loadConfig(argv: readonly string[], env: Env = process.env): Config {
  const parsed = v.safeParse(settingsSchema, override(readSettings(env), env));
  if (!parsed.success) {
    throw new ConfigError(parsed.issues.map((issue) => `${v.getDotPath(issue) ?? "settings"}: ${issue.message}`));
  }
  const config = argv.includes("--dev") ? devConfig(parsed.output, env) : productionConfig(parsed.output);
  return Object.freeze(config);
}
