/** The maximum age of a cached value. */
const KEPT_MS = 1000;
/** At most about 100 KB each. A tenant beyond the limit is read again, never refused. */
const KEPT_TENANTS = 1000;

/** A value of each tenant, cached for a second. */
export interface TenantCache<T> {
  /** Call it outside of units: a miss is a unit of its own. */
  of(tenantId: string): Promise<T>;
  /** Drops the value, so that the next call reads it. */
  forget(tenantId: string): void;
}

/**
 * Caches what `load` returns for a second from its start and shares a running load. A failed load is not answered from
 * an older value: an unavailable store refuses here as everywhere.
 */
export function createTenantCache<T>(load: (tenantId: string) => Promise<T>, clock: () => Date): TenantCache<T> {
  const kept = new Map<string, { readonly since: number; readonly found: Promise<T> }>();

  return {
    of(tenantId) {
      const now = clock().getTime();
      const known = kept.get(tenantId);
      // A clock that is set back does not lengthen a value's life.
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
