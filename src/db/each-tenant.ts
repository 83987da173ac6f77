import { StoreUnavailable } from "./store.ts";

/** After this many tenants in a row for which the store failed, it is taken to be unavailable. */
const AWAY = 3;

/**
 * Runs work for one tenant after the other. A failure of one does not stop the others: it is thrown after the last, or
 * at once when the store is unavailable.
 */
export async function forEachTenant<T>(
  tenants: Iterable<T> | AsyncIterable<T>,
  act: (tenant: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  let away = 0;
  for await (const tenant of tenants) {
    try {
      await act(tenant);
      away = 0;
    } catch (error) {
      failures.push(error);
      away = error instanceof StoreUnavailable ? away + 1 : 0;
      if (away === AWAY) break;
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, `it failed for ${failures.length} tenants`);
}

/** Pages of what there is for tenants, put together: `next` reads those behind a tenant, in order, `size` at most. */
export async function* inPages<T>(
  next: (after: string, size: number) => Promise<readonly T[]>,
  tenantOf: (found: T) => string,
): AsyncIterable<T> {
  const size = 100;
  for (let after = "", full = true; full; ) {
    const found = await next(after, size);
    yield* found;
    const last = found.at(-1);
    full = last !== undefined && found.length === size;
    if (last !== undefined) after = tenantOf(last);
  }
}
