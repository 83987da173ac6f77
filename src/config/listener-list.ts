import * as v from "valibot";
import { LISTENER_KINDS, type ListenerSettings, listeners, origin } from "./listener-settings.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** The `listeners` of a file, and whether it says `only`: then dev mode opens no other kinds. */
export interface ListedListeners {
  readonly list: unknown;
  readonly isOnly: boolean;
}

/** Reads `listeners` as a file has it: a list, or {"only": [list]}. */
export function readListed(listed: unknown): ListedListeners {
  const isOnly = typeof listed === "object" && listed !== null && Object.keys(listed).join() === "only";
  return isOnly ? { list: (listed as { only: unknown }).only, isOnly } : { list: listed, isOnly: false };
}

/** Adds a listener of each kind that a list leaves out, as the defaults have it. */
export function withEveryKind(listed: readonly ListenerSettings[]): ListenerSettings[] {
  const missing = LISTENER_KINDS.filter((kind) => !listed.some((listener) => listener.kind === kind));
  return [...listed, ...missing.map((kind) => v.parse(listeners, { kind }))];
}

/** The origins of MFA_ORIGINS, separated by commas or spaces; throws, naming the first that is none. */
export function readOrigins({ MFA_ORIGINS: text = "" }: Env): string[] {
  const origins = text.split(/[\s,]+/).filter((one) => one !== "");
  const wrong = origins.find((one) => !v.is(origin, one));
  if (wrong !== undefined) throw new Error(`MFA_ORIGINS: ${wrong} is no origin like https://app.example`);
  return origins;
}
