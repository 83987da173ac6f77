import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { originsOf } from "./relying-party.ts";

/** How old the answer may be: anybody may ask, without a token. */
const KEPT_MS = 60_000;

/**
 * The file that a browser asks a relying party for before it lets a page of another origin use its passkeys (WebAuthn
 * §5.11): the origins of all tenants that have this relying party, those of apps aside. Undefined for a name that is
 * nobody's relying party.
 */
export function createRelatedOrigins(list: () => Promise<readonly EffectiveSettings[]>, clock: () => Date) {
  let known: { since: number; origins: Promise<ReadonlyMap<string, ReadonlySet<string>>> } | undefined;

  const load = async () => {
    const origins = new Map<string, Set<string>>();
    for (const { webauthn } of await list()) {
      const pages = originsOf(webauthn).filter((origin) => /^https?:/.test(origin));
      for (const rpId of webauthn.rpIds) origins.set(rpId, new Set([...(origins.get(rpId) ?? []), ...pages]));
    }
    return origins;
  };

  return async (host: string): Promise<string | undefined> => {
    const now = clock().getTime();
    if (!known || now < known.since || now >= known.since + KEPT_MS) {
      const entry = { since: now, origins: load() };
      known = entry;
      // What could not be read is asked for anew by the next.
      entry.origins.catch(() => {
        if (known === entry) known = undefined;
      });
    }
    const found = (await known.origins).get(host.replace(/:\d+$/, "").toLowerCase());
    return found && JSON.stringify({ origins: [...found] });
  };
}
