// The verifier of assertions, as the service uses it itself; needs Node's crypto, which Bun and Deno have too.
export * from "../../../src/client/assertion.ts";

/**
 * Notes ids in the memory of this process: for development, and for a backend of one process. Backends of many instances
 * insert each id into a table that all share, and return whether the row was new.
 */
export function onceInMemory(
  now: () => number = Date.now,
): (assertionId: string, expireTime: Date) => Promise<boolean> {
  const used = new Map<string, number>();
  return async (assertionId, expireTime) => {
    for (const [id, until] of used) if (until <= now()) used.delete(id);
    if (used.has(assertionId)) return false;
    used.set(assertionId, expireTime.getTime());
    return true;
  };
}
