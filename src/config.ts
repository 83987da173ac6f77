import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getDotPath, safeParse } from "valibot";
import type { Mode } from "./db/installation.ts";
import { type CarrierSettings, PUSH_SERVICES } from "./settings/carrier-settings.ts";
import { type Settings, settingsSchema } from "./settings/settings.ts";
import type { SecretPlace } from "./settings/values.ts";

/** Settings with the secrets themselves where it was said where they stand. */
type WithSecrets<T> = T extends unknown
  ? { readonly [K in keyof T]: SecretPlace extends T[K] ? string | Exclude<T[K], SecretPlace> : T[K] }
  : never;

/** A carrier with its secrets. */
type Carrier<Kind> = WithSecrets<Extract<CarrierSettings, { kind: Kind }>>;

/** What the process runs with: validated, complete, frozen. */
export interface Config extends Readonly<Omit<Settings, "delivery">> {
  readonly delivery: {
    readonly email?: readonly Carrier<"smtp" | "webhook">[];
    readonly sms?: readonly Carrier<"twilio" | "webhook">[];
    readonly push?: readonly Carrier<"web-push" | "fcm" | "apns" | "webhook">[];
  };
  readonly mode: Mode;
  readonly database: string;
  readonly keyFile: string;
  readonly reflection: boolean;
  readonly passkeyPages: boolean;
  readonly erasureLedger: string;
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

const OVERRIDES = {
  dataDir: "MFA_DATA_DIR",
  database: "MFA_DATABASE_URL",
  keyFile: "MFA_KEY_FILE",
} as const;

function parse(env: Env): Settings {
  const given = Object.entries(OVERRIDES).flatMap(([setting, variable]) =>
    env[variable] ? [[setting, env[variable]] as const] : [],
  );
  const parsed = safeParse(settingsSchema, { ...readSettings(env), ...Object.fromEntries(given) });
  if (parsed.success) return parsed.output;
  throw new ConfigError(parsed.issues.map((issue) => `${getDotPath(issue) ?? "settings"}: ${issue.message}`));
}

function portOf(variable: string, text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) < 65536) return Number(text);
  throw new ConfigError([`${variable}=${text}: a port is a number from 0 to 65535`]);
}

/** Reads what a carrier needs to prove who it is. Tells what is missing by the name of its place, never by its value. */
function readSecrets(settings: Settings, env: Env): Config["delivery"] {
  const missing: string[] = [];
  const secretAt = (place: SecretPlace, path: string): string => {
    try {
      const value = "file" in place ? readFileSync(place.file, "utf8").trim() : (env[place.env] ?? "");
      if (value !== "") return value;
    } catch {
      // Missing like an empty one.
    }
    missing.push(`${path}: no secret in ${"file" in place ? place.file : `the environment variable ${place.env}`}`);
    return "";
  };
  const read = (carrier: CarrierSettings, path: string) =>
    Object.fromEntries(
      Object.entries(carrier).map(([name, value]) => {
        const isPlace = typeof value === "object" && value !== null && !Array.isArray(value);
        return [name, isPlace ? secretAt(value, `${path}.${name}`) : value];
      }),
    );
  const delivery = Object.fromEntries(
    Object.entries(settings.delivery).map(([channel, carriers]) => [
      channel,
      carriers?.map((carrier, n) => read(carrier, `delivery.${channel}.${n}`)),
    ]),
  );
  if (missing.length > 0) throw new ConfigError(missing);
  return delivery as Config["delivery"]; // entry by entry what the schema gave, with secrets in their places
}

/** Which issuers speak for the installation, where they do not say. */
const withOperators = (issuers: Settings["issuers"]): Settings["issuers"] =>
  issuers.map((one) => ({ ...one, operator: one.operator ?? (one.tenant === undefined || issuers.length === 1) }));

/** MFA_HOST moves every listener, the port variables the listeners of their kind. */
function relocate(settings: Settings, env: Env): Settings {
  const listeners = settings.listeners.map((listener) => {
    const variable = { grpc: "MFA_PORT", gateway: "MFA_GATEWAY_PORT", admin: "MFA_ADMIN_PORT" }[listener.kind];
    const text = env[variable];
    const port = text ? portOf(variable, text) : listener.port;
    return { ...listener, port, host: env.MFA_HOST || listener.host };
  });
  return { ...settings, listeners };
}

/** What contradicts itself, in either mode. */
function contradictions({ issuers, listeners, backup, database = "" }: Settings): string[] {
  const names = issuers.map(({ issuer }) => issuer);
  const isPostgres = /^postgres(ql)?:/.test(database);
  return [
    ...(backup.folder !== undefined && isPostgres
      ? ['PostgreSQL is backed up by its own tools (pg_dump, pg_basebackup): drop "backup.folder"']
      : []),
    ...issuers
      .filter(({ jwksFile, jwksUrl }) => !jwksFile === !jwksUrl)
      .map(({ issuer }) => `issuer ${issuer}: give either "jwksFile" or "jwksUrl"`),
    ...names.filter((name, n) => names.indexOf(name) < n).map((name) => `issuer ${name} is listed twice`),
    ...listeners
      .filter(({ tls, terminatedBy }) => tls && terminatedBy)
      .map(({ kind }) => `the ${kind} listener has both "tls" and "terminatedBy": who ends TLS?`),
  ];
}

/** Pages of this machine, by the only name that browsers take for a relying party without TLS. */
function devRelyingParty({ webauthn, listeners }: Pick<Settings, "webauthn" | "listeners">): Settings["webauthn"] {
  if (webauthn.rpIds.length > 0) return webauthn;
  const own = listeners.filter(({ kind }) => kind === "gateway").map(({ port }) => `http://localhost:${port}`);
  const listed = listeners.flatMap((listener) => (listener.kind === "gateway" ? listener.origins : []));
  return {
    ...webauthn,
    rpIds: ["localhost"],
    origins: webauthn.origins.length > 0 ? webauthn.origins : [...own, ...listed],
  };
}

/** The settings but for what depends on the mode. */
type Complete = Omit<Settings, "delivery"> & Pick<Config, "delivery">;

const ledgerOf = ({ erasureLedger, dataDir }: Complete) => erasureLedger ?? join(dataDir, "erasures.jsonl");

function devConfig(settings: Complete, env: Env): Config {
  const wrong = settings.listeners
    .filter(({ host }) => !LOOPBACK.has(host))
    .map(({ kind, host }) => `dev mode listens on loopback only: move the ${kind} listener from ${host} to 127.0.0.1`);
  if (env.NODE_ENV === "production") wrong.push("dev mode refuses NODE_ENV=production: drop --dev or unset NODE_ENV");
  if (wrong.length > 0) throw new ConfigError(wrong);
  return {
    ...settings,
    mode: "dev",
    database: settings.database ?? `sqlite:${join(settings.dataDir, "mfa.db")}`,
    keyFile: settings.keyFile ?? join(settings.dataDir, "keys.json"),
    reflection: settings.reflection ?? true,
    passkeyPages: settings.passkeyPages ?? true,
    erasureLedger: ledgerOf(settings),
    webauthn: devRelyingParty(settings),
  };
}

function productionConfig(settings: Complete): Config {
  const { listeners, database, keyFile, issuers } = settings;
  const missing: string[] = [];
  if (!database) missing.push("no database: set MFA_DATABASE_URL=sqlite:/var/lib/mfa/mfa.db or postgres://…");
  if (!keyFile) {
    missing.push("no keys: run `npm run -s keys -- /etc/mfa/keys.json`, then set MFA_KEY_FILE=/etc/mfa/keys.json");
  }
  if (issuers.length === 0) {
    missing.push('no issuers: add "issuers": [{"issuer": …, "jwksUrl": …}] to the file of MFA_CONFIG');
  }
  for (const { kind, tls, terminatedBy, proxies } of listeners) {
    if (terminatedBy && !proxies) {
      const mend = '"proxies": {"addresses": ["<its network>"]}, [] where it passes none on';
      missing.push(`no clients' addresses on the ${kind} listener: say whose word about them counts, ${mend}`);
    }
    if (tls || terminatedBy) continue;
    const mend = '"tls": {"certFile": …, "keyFile": …} or "terminatedBy": "<proxy>"';
    missing.push(`no TLS on the ${kind} listener: give it ${mend} in the "listeners" of the file of MFA_CONFIG`);
  }
  for (const { issuer } of issuers) {
    if (issuer.startsWith("urn:mfa:dev:")) missing.push(`issuer ${issuer} is a dev mode's: configure the real one`);
  }
  if (missing.length > 0 || !database || !keyFile) {
    throw new ConfigError([...missing, "To try the service without any of this, run `npm start` (dev mode)."]);
  }
  return {
    ...settings,
    mode: "production",
    database,
    keyFile,
    reflection: settings.reflection ?? false,
    passkeyPages: settings.passkeyPages ?? false,
    erasureLedger: ledgerOf(settings),
  };
}

/** By which ways phones are told, and which push services may be called. Dev mode knows all ways, and keeps what goes. */
export function pushWaysOf({ mode, delivery: { push = [] } }: Config) {
  const dev = mode === "dev";
  const hosts = push.flatMap((carrier) => (carrier.kind === "web-push" ? carrier.hosts : []));
  const carried = push.map(({ kind }) => (kind === "webhook" ? "push-webhook" : kind));
  const all = ["web-push", "fcm", "apns", "push-webhook"] as const;
  return { carried: new Set(dev ? all : carried), webPushHosts: dev && hosts.length === 0 ? PUSH_SERVICES : hosts };
}

/**
 * Reads the settings file named by MFA_CONFIG, applies MFA_HOST, MFA_PORT, MFA_GATEWAY_PORT, MFA_ADMIN_PORT,
 * MFA_DATA_DIR, MFA_DATABASE_URL and MFA_KEY_FILE over it, and completes it for the mode. The mode is dev only where
 * the command line says `--dev`.
 */
export function loadConfig(argv: readonly string[], env: Env = process.env): Config {
  const settings = relocate(parse(env), env);
  const wrong = contradictions(settings);
  if (wrong.length > 0) throw new ConfigError(wrong);
  const issuers = withOperators(settings.issuers);
  const complete = { ...settings, issuers, delivery: readSecrets(settings, env) };
  return Object.freeze(argv.includes("--dev") ? devConfig(complete, env) : productionConfig(complete));
}
