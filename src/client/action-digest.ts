import { createHash } from "node:crypto";

/** What a proof is bound to: the same message as `mfa.v1.Action`. */
export interface ActionContent {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Canonical JSON (RFC 8785): members sorted by their names' UTF-16 code units, strings as ECMAScript writes them, no
 * white space. Actions hold nothing but strings, so the rules on numbers do not come up.
 */
export function canonicalAction({ type, parameters }: ActionContent): string {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  const members = sorted.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{"parameters":{${members.join(",")}},"type":${JSON.stringify(type)}}`;
}

/** SHA-256 over an action's canonical JSON: equal for the same action, and for no other. */
export const actionDigest = (action: ActionContent): Buffer =>
  createHash("sha256").update(canonicalAction(action), "utf8").digest();
