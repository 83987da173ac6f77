/** How old what a call is answered by may be. */
const KEPT_MS = 1000;
/** Some 100 KB each at the very most. One tenant more is read again, never refused. */
const KEPT_TENANTS = 1000;

/** Something of each tenant as last read, for a second. */
export interface Recent<T> {
  /** Outside of units: a miss is a unit of its own. */
  of(tenantId: string): Promise<T>;
  /** Has the next call read again. */
  forget(tenantId: string): void;
}

/**
 * Keeps what `load` reads for a second from when it began, and shares one read among all who ask meanwhile. What could
 * not be read is not answered from what was known before: a store that is away refuses, as for everything else.
 */
export function createRecent<T>(load: (tenantId: string) => Promise<T>, clock: () => Date): Recent<T> {
  const kept = new Map<string, { readonly since: number; readonly found: Promise<T> }>();

  return {
    of(tenantId) {
      const now = clock().getTime();
      const known = kept.get(tenantId);
      // A clock that was set back makes nothing last longer.
      if (known && now >= known.since && now < known.since + KEPT_MS) return known.found;
      const entry = { since: now, found: load(tenantId) };
      kept.delete(tenantId);
      kept.set(tenantId, entry);
      entry.found.catch(() => kept.get(tenantId) === entry && kept.delete(tenantId));
      const [oldest] = kept.keys();
      if (oldest !== undefined && kept.size > KEPT_TENANTS) kept.delete(oldest);
      return entry.found;
    },
    forget: (tenantId) => void kept.delete(tenantId),
  };
}
