import { createHash } from "node:crypto";
import type { Settings } from "../tenants/settings.ts";

/** What a proof is bound to, as the contract has it. */
export interface ActionContent {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Canonical JSON (RFC 8785): members sorted by their names' UTF-16 code units, strings as ECMAScript writes them, no
 * white space. Actions hold nothing but strings, so the rules on numbers do not come up.
 */
function canonical({ type, parameters }: ActionContent): string {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  const members = sorted.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{"parameters":{${members.join(",")}},"type":${JSON.stringify(type)}}`;
}

/** SHA-256 over an action's canonical JSON: equal for the same action, and for no other. */
export const actionDigest = (action: ActionContent): Buffer =>
  createHash("sha256").update(canonical(action), "utf8").digest();

/** The tenant's template for an action: in its default language, else in any. */
function templateOf({ type }: ActionContent, { templates }: Settings) {
  const fitting = templates.actions.filter(({ actionType }) => actionType === type);
  return fitting.find(({ locale }) => locale === templates.defaultLocale) ?? fitting[0];
}

/** What the user reads: the tenant's text with the parameters filled in, or the action spelled out. Never the page's. */
export function renderAction(action: ActionContent, settings: Settings): string {
  const template = templateOf(action, settings);
  if (template) {
    // In one pass: a value that looks like a field stays what it is.
    return template.text.replaceAll(/\{([a-z0-9_.-]+)\}/g, (_, name: string) =>
      Object.hasOwn(action.parameters, name) ? (action.parameters[name] ?? "") : "",
    );
  }
  const parameters = Object.entries(action.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return [action.type, ...parameters.map(([name, value]) => `${name}: ${value}`)].join("\n");
}

/** Whether the tenant wants the action inside of what the authenticator signs. */
export const needsBinding = (action: ActionContent, settings: Settings): boolean =>
  templateOf(action, settings)?.requireAuthenticatorBinding ?? false;
