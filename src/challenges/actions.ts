import { type ActionContent, actionDigest } from "../client/action-digest.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import type { Demands } from "./eligibility.ts";

/** Returns the tenant's template of an action: in its default language, else in any. */
export function templateOf({ type }: ActionContent, { templates }: EffectiveSettings) {
  const fitting = templates.actions.filter(({ actionType }) => actionType === type);
  return fitting.find(({ locale }) => locale === templates.defaultLocale) ?? fitting[0];
}

/**
 * Renders an action for the user: the tenant's text with the parameters filled in, or the action spelled out. Never the
 * page's text.
 */
export function renderAction(action: ActionContent, settings: EffectiveSettings): string {
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

/** What a challenge keeps of the action that it is for, if it is for one. */
export const keptOf = (action: ActionContent | undefined, settings: EffectiveSettings) => ({
  actionType: action?.type ?? "",
  actionDigest: action ? actionDigest(action) : null,
  renderedAction: action ? renderAction(action, settings) : "",
});

/** Whether the tenant wants the action inside of what the authenticator signs. */
export const needsBinding = (action: ActionContent, settings: EffectiveSettings): boolean =>
  templateOf(action, settings)?.requireAuthenticatorBinding ?? false;

/**
 * What a challenge demands at present: what it did when it was created, and what the tenant has come to ask of its
 * action since. Asked anew at proof and at redemption.
 */
export const demandsNow = (row: Demands & { readonly actionType: string }, settings: EffectiveSettings): Demands => ({
  allowedTypes: row.allowedTypes,
  strength: row.strength,
  groups: row.groups ?? null,
  requiresBinding:
    row.requiresBinding || (row.actionType !== "" && needsBinding({ type: row.actionType, parameters: {} }, settings)),
});
