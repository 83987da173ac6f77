import { nearest } from "../core/nearest.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** The variables of the environment that the service reads, with what they are for. */
export const VARIABLES = {
  MFA_CONFIG: "the settings file (JSON)",
  MFA_DATABASE_URL: "sqlite:<path> or postgres://…, in place of `database`",
  MFA_KEY_FILE: "the key file, in place of `keyFile`",
  MFA_DATA_DIR: "the folder of dev mode, in place of `dataDir`",
  MFA_HOST: "the address of every listener",
  MFA_PORT: "the port of gRPC listeners",
  MFA_GATEWAY_PORT: "the port of gateways",
  MFA_ADMIN_PORT: "the port of administration",
  MFA_INTERNAL_PORT: "the port of backends' JSON listeners",
  MFA_ORIGINS: "more origins whose pages may call, separated by commas or spaces",
} as const;

/** Of this project's own tests, tools and examples, which run in one shell with the service. */
const TOOLS = new Set(["MFA_ROUNDS", "MFA_SEED", "MFA_ADDRESS", "MFA_KEYS", "MFA_STRENGTH", "MFA_CONFIRM"]);

/** What Kubernetes sets in every pod beside a Service called "mfa" or "mfa-…": the service never asks for these. */
const OF_SERVICES =
  /^MFA_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT_\d+_(?:TCP|UDP)(?:_(?:PROTO|PORT|ADDR))?)$/;
const LINKED = /^(?:tcp|udp):\/\//;

/** The names of the variables that the settings take secrets from. */
function namedIn(settings: unknown): string[] {
  if (typeof settings !== "object" || settings === null) return [];
  return Object.entries(settings).flatMap(([name, value]) =>
    name === "env" && typeof value === "string" ? [value] : namedIn(value),
  );
}

/** Returns a line for each variable that begins like the service's own and is none; empty ones say nothing. */
export function unknownVariables(env: Env, settings: unknown): string[] {
  const known = Object.keys(VARIABLES);
  const named = new Set([...known, ...TOOLS, ...namedIn(settings)]);
  return Object.entries(env).flatMap(([name, value = ""]) => {
    if (!name.startsWith("MFA_") || value === "" || named.has(name)) return [];
    if (OF_SERVICES.test(name) || LINKED.test(value)) return [];
    const meant = nearest(name, known);
    return [
      `${name}: no variable of the service: ${meant ? `did you mean ${meant}?` : `there are ${known.join(", ")}`}`,
    ];
  });
}

/** Reads a port. Returns its fault in one line, with the way out where Kubernetes has put a link in its place. */
export function readPort(variable: string, text: string): number | string {
  if (/^\d{1,5}$/.test(text) && Number(text) < 65536) return Number(text);
  const link = LINKED.test(text)
    ? "; Kubernetes sets this one for a Service of that name: set `enableServiceLinks: false` in the pod"
    : "";
  return `${variable}=${text}: a port is a number from 0 to 65535${link}`;
}
