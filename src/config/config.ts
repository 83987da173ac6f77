import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type BaseIssue, safeParse } from "valibot";
import type { Mode } from "../db/installation.ts";
import { type CarrierSettings, PUSH_SERVICES } from "./carrier-settings.ts";
import { databaseFaults } from "./database-url.ts";
import { issuerFaults } from "./issuer-settings.ts";
import { readListed, readOrigins, withEveryKind } from "./listener-list.ts";
import { faultText } from "./setting-faults.ts";
import { unknownSettings } from "./setting-names.ts";
import { type ProcessSettings, settingsSchema } from "./settings-file.ts";
import { readSource, type SettingsSource } from "./settings-source.ts";
import type { SecretPlace } from "./values.ts";
import { readPort, unknownVariables } from "./variables.ts";

/** Settings with the secrets themselves where it was said where they stand. */
type WithSecrets<T> = T extends unknown
  ? { readonly [K in keyof T]: SecretPlace extends T[K] ? string | Exclude<T[K], SecretPlace> : T[K] }
  : never;

/** A carrier with its secrets. */
type Carrier<Kind> = WithSecrets<Extract<CarrierSettings, { kind: Kind }>>;

/** What the process runs with: validated, complete, frozen. */
export interface Config extends Readonly<Omit<ProcessSettings, "delivery">> {
  readonly delivery: {
    readonly email?: readonly Carrier<"smtp" | "webhook">[];
    readonly sms?: readonly Carrier<"twilio" | "webhook">[];
    readonly push?: readonly Carrier<"web-push" | "fcm" | "apns" | "webhook">[];
  };
  readonly mode: Mode;
  readonly database: string;
  readonly keyFile: string;
  /** Whether the command line says `--new`: a database that was there before may be begun anew, empty. */
  readonly isNew?: boolean;
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

/** Reads by a function whose errors are single lines. */
function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigError([(error as Error).message]);
  }
}

const OVERRIDES = {
  dataDir: "MFA_DATA_DIR",
  database: "MFA_DATABASE_URL",
  keyFile: "MFA_KEY_FILE",
} as const;

/** The settings of the file and the environment, and how to tell where a fault of them stands. */
interface Parsed {
  readonly settings: ProcessSettings;
  /** Whether the file says that no other kinds of listeners are opened. */
  readonly isOnly: boolean;
  readonly at: SettingsSource["at"];
}

const pathOf = ({ path }: BaseIssue<unknown>) => (path ?? []).map(({ key }) => key as PropertyKey);

function parse(env: Env): Parsed {
  const given = Object.entries(OVERRIDES).flatMap(([setting, variable]) =>
    env[variable] ? [[setting as keyof typeof OVERRIDES, env[variable]] as const] : [],
  );
  const { settings, at, faults } = refusing(() => readSource(env.MFA_CONFIG));
  const { listeners: listed, ...read } = settings;
  const { list, isOnly } = readListed(listed);
  const whole = { ...read, ...(list !== undefined && { listeners: list }), ...Object.fromEntries(given) };
  const unknown = unknownSettings(settingsSchema, whole);
  const parsed = safeParse(settingsSchema, whole);
  const variables = new Map<PropertyKey, string>(given.map(([setting]) => [setting, OVERRIDES[setting]]));
  const tell = (path: readonly PropertyKey[], text: string): string => {
    const [name = "", ...inner] = path;
    const variable = variables.get(name);
    if (variable !== undefined) return `${variable}: ${text}`;
    // In a list under "only" the places are one deeper.
    return at(isOnly && name === "listeners" ? [name, "only", ...inner] : path, text);
  };
  const issues = (parsed.issues ?? []).filter(({ type, expected }) => type !== "strict_object" || expected !== "never");
  const wrong = [
    ...faults,
    ...unknownVariables(env, settings),
    ...unknown.map(({ path, text }) => tell(path, text)),
    ...issues.map((issue) => tell(pathOf(issue), faultText(issue))),
  ];
  if (wrong.length > 0 || !parsed.success) throw new ConfigError(wrong);
  return { settings: parsed.output, isOnly, at: tell };
}

function portOf(variable: string, text: string): number {
  const read = readPort(variable, text);
  if (typeof read === "number") return read;
  throw new ConfigError([read]);
}

/** Reads what a carrier needs to prove who it is. Tells what is missing by the name of its place, never by its value. */
function readSecrets({ settings, at }: Parsed, env: Env): Config["delivery"] {
  const missing: string[] = [];
  const secretAt = (place: SecretPlace, path: readonly PropertyKey[]): string => {
    try {
      const value = "file" in place ? readFileSync(place.file, "utf8").trim() : (env[place.env] ?? "");
      if (value !== "") return value;
    } catch {
      // Missing like an empty one.
    }
    const where = "file" in place ? place.file : `the environment variable ${place.env}`;
    missing.push(at(path, `no secret in ${where}`));
    return "";
  };
  const read = (carrier: CarrierSettings, path: readonly PropertyKey[]) =>
    Object.fromEntries(
      Object.entries(carrier).map(([name, value]) => {
        const isPlace = typeof value === "object" && value !== null && !Array.isArray(value);
        return [name, isPlace ? secretAt(value, [...path, name]) : value];
      }),
    );
  const delivery = Object.fromEntries(
    Object.entries(settings.delivery).map(([channel, carriers]) => [
      channel,
      carriers?.map((carrier, n) => read(carrier, ["delivery", channel, n])),
    ]),
  );
  if (missing.length > 0) throw new ConfigError(missing);
  return delivery as Config["delivery"]; // entry by entry what the schema gave, with secrets in their places
}

/** Which issuers speak for the installation, where they do not say. */
const withOperators = (issuers: ProcessSettings["issuers"]): ProcessSettings["issuers"] =>
  issuers.map((one) => ({ ...one, operator: one.operator ?? (one.tenant === undefined || issuers.length === 1) }));

const PORT_VARIABLES = {
  grpc: "MFA_PORT",
  gateway: "MFA_GATEWAY_PORT",
  admin: "MFA_ADMIN_PORT",
  internal: "MFA_INTERNAL_PORT",
} as const;

/** MFA_HOST moves every listener, the port variables the listeners of their kind; MFA_ORIGINS lets more pages call. */
function relocate(settings: ProcessSettings, env: Env): ProcessSettings {
  const added = refusing(() => readOrigins(env));
  const listeners = settings.listeners.map((listener) => {
    const variable = PORT_VARIABLES[listener.kind];
    const text = env[variable];
    const port = text ? portOf(variable, text) : listener.port;
    const moved = { ...listener, port, host: env.MFA_HOST || listener.host };
    return "origins" in moved ? { ...moved, origins: [...moved.origins, ...added] } : moved;
  });
  return { ...settings, listeners };
}

/** What contradicts itself, in either mode. */
function contradictions({ settings, at }: Parsed): string[] {
  const { issuers, listeners, backup, delivery, database = "" } = settings;
  const names = issuers.map(({ issuer }) => issuer);
  const isPostgres = /^postgres(ql)?:/.test(database);
  return [
    ...(database !== "" ? databaseFaults(database).map((fault) => at(["database"], fault)) : []),
    ...(backup.folder !== undefined && isPostgres
      ? [
          at(
            ["backup", "folder"],
            "PostgreSQL is backed up by its own tools (pg_dump, pg_basebackup): drop this setting",
          ),
        ]
      : []),
    ...issuers.flatMap((one, n) => issuerFaults(one).map((fault) => at(["issuers", n], fault))),
    ...(delivery.sms ?? []).flatMap((one, n) =>
      one.kind === "twilio" && one.receiptUrl && one.apiKeySid && !one.receiptToken
        ? [
            at(
              ["delivery", "sms", n],
              'reports to "receiptUrl" are signed with the account\'s own token: give "receiptToken"',
            ),
          ]
        : [],
    ),
    ...names.flatMap((name, n) =>
      names.indexOf(name) < n ? [at(["issuers", n], `issuer ${name} is listed twice: keep one of the entries`)] : [],
    ),
    ...listeners.flatMap(({ tls, terminatedBy, kind }, n) =>
      tls && terminatedBy
        ? [
            at(
              ["listeners", n],
              `the ${kind} listener has both "tls" and "terminatedBy": who ends TLS? Keep one of them`,
            ),
          ]
        : [],
    ),
  ];
}

/** Pages of this machine, by the only name that browsers take for a relying party without TLS. */
function devRelyingParty({
  webauthn,
  listeners,
}: Pick<ProcessSettings, "webauthn" | "listeners">): ProcessSettings["webauthn"] {
  if (webauthn.rpIds.length > 0) return webauthn;
  const own = listeners.filter(({ kind }) => kind === "gateway").map(({ port }) => `http://localhost:${port}`);
  const listed = listeners.flatMap((listener) => (listener.kind === "gateway" ? listener.origins : []));
  return {
    ...webauthn,
    rpIds: ["localhost"],
    origins: webauthn.origins.length > 0 ? webauthn.origins : [...own, ...listed],
  };
}

/** Where pages of this machine reach the hosted prompt. */
function devPrompt({ prompt, listeners }: Pick<ProcessSettings, "prompt" | "listeners">): ProcessSettings["prompt"] {
  const own = listeners.find(({ kind }) => kind === "gateway");
  return prompt.address === undefined && own ? { address: `http://localhost:${own.port}` } : prompt;
}

/** The settings but for what depends on the mode. */
type Complete = Omit<ProcessSettings, "delivery"> & Pick<Config, "delivery">;

const ledgerOf = ({ erasureLedger, dataDir }: Complete) => erasureLedger ?? join(dataDir, "erasures.jsonl");

function devConfig(settings: Complete, env: Env, at: SettingsSource["at"]): Config {
  const wrong = settings.listeners
    .map(({ kind, host }, n) => [n, kind, host] as const)
    .filter(([, , host]) => !LOOPBACK.has(host))
    .map(([n, kind, host]) =>
      at(["listeners", n], `dev mode listens on loopback only: move the ${kind} listener from ${host} to 127.0.0.1`),
    );
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
    prompt: devPrompt(settings),
  };
}

function productionConfig(settings: Complete, at: SettingsSource["at"]): Config {
  const { listeners, database, keyFile, issuers } = settings;
  const missing: string[] = [];
  if (!database) missing.push("no database: set MFA_DATABASE_URL=sqlite:/var/lib/mfa/mfa.db or postgres://…");
  if (!keyFile) {
    missing.push("no keys: run `npm run -s keys -- /etc/mfa/keys.json`, then set MFA_KEY_FILE=/etc/mfa/keys.json");
  }
  if (issuers.length === 0) {
    missing.push('no issuers: add "issuers": [{"issuer": …, "jwksUrl": …}] to the file of MFA_CONFIG');
  }
  for (const [n, { kind, tls, terminatedBy, proxies }] of listeners.entries()) {
    if (terminatedBy && !proxies) {
      const mend = '"proxies": {"addresses": ["<its network>"]}, [] where it passes none on';
      const fault = `no clients' addresses on the ${kind} listener: say whose word about them counts, ${mend}`;
      missing.push(at(["listeners", n], fault));
    }
    if (tls || terminatedBy) continue;
    const mend = '"tls": {"certFile": …, "keyFile": …} or "terminatedBy": "<proxy>"';
    const fault = `no TLS on the ${kind} listener: give it ${mend} in the "listeners" of the file of MFA_CONFIG`;
    missing.push(at(["listeners", n], fault));
  }
  for (const [n, { issuer }] of issuers.entries()) {
    if (!issuer.startsWith("urn:mfa:dev:")) continue;
    missing.push(at(["issuers", n], `issuer ${issuer} is a dev mode's: configure the real one`));
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

/** The issuers of the settings, without all else that a start needs: for a look at a token. */
export function loadIssuers(argv: readonly string[], env: Env = process.env) {
  const { settings, at } = parse(env);
  const { issuers, dataDir } = settings;
  const wrong = issuers.flatMap((one, n) => issuerFaults(one).map((fault) => at(["issuers", n], fault)));
  if (wrong.length > 0) throw new ConfigError(wrong);
  const isDev = argv.includes("--dev") && existsSync(join(dataDir, "dev-issuer.json"));
  return { issuers: withOperators(issuers), devIssuerIn: isDev ? dataDir : undefined };
}

/**
 * Reads the settings file named by MFA_CONFIG, applies MFA_HOST, MFA_PORT, MFA_GATEWAY_PORT, MFA_ADMIN_PORT,
 * MFA_INTERNAL_PORT, MFA_ORIGINS, MFA_DATA_DIR, MFA_DATABASE_URL and MFA_KEY_FILE over it, and completes it for the mode. The mode is dev only where
 * the command line says `--dev`; `--new` has a start begin an empty database where there was one.
 */
export function loadConfig(argv: readonly string[], env: Env = process.env): Config {
  const isDev = argv.includes("--dev");
  const parsed = parse(env);
  const { settings: read, isOnly } = parsed;
  const opened = isDev && !isOnly ? { ...read, listeners: withEveryKind(read.listeners) } : read;
  const settings = relocate(opened, env);
  const wrong = contradictions({ ...parsed, settings });
  if (wrong.length > 0) throw new ConfigError(wrong);
  const issuers = withOperators(settings.issuers);
  const complete = { ...settings, issuers, delivery: readSecrets(parsed, env) };
  const config = isDev ? devConfig(complete, env, parsed.at) : productionConfig(complete, parsed.at);
  return Object.freeze({ ...config, isNew: argv.includes("--new") });
}
