import type { Settings, SettingsOf } from "./settings.ts";

/** How old the settings may be that a call is answered by. */
const KEPT_MS = 1000;
/** Some 100 KB each at the very most. One tenant more is read again, never refused. */
const KEPT_TENANTS = 1000;

/** Settings as last read, for a second. */
export interface RecentSettings {
  readonly settingsOf: SettingsOf;
  /** Has the next call read again. */
  forget(tenantId: string): void;
}

/**
 * Keeps what `load` reads for a second from when it began, and shares one read among all who ask meanwhile. What could
 * not be read is not answered from what was known before: a store that is away refuses, as for everything else.
 */
export function createRecentSettings(load: (tenantId: string) => Promise<Settings>, clock: () => Date): RecentSettings {
  const kept = new Map<string, { readonly since: number; readonly settings: Promise<Settings> }>();

  return {
    settingsOf(tenantId) {
      const now = clock().getTime();
      const known = kept.get(tenantId);
      // A clock that was set back makes nothing last longer.
      if (known && now >= known.since && now < known.since + KEPT_MS) return known.settings;
      const entry = { since: now, settings: load(tenantId) };
      kept.delete(tenantId);
      kept.set(tenantId, entry);
      entry.settings.catch(() => kept.get(tenantId) === entry && kept.delete(tenantId));
      const [oldest] = kept.keys();
      if (oldest !== undefined && kept.size > KEPT_TENANTS) kept.delete(oldest);
      return entry.settings;
    },
    forget: (tenantId) => void kept.delete(tenantId),
  };
}
