import type { OnLimit } from "./listener-limits.ts";
import type { Priority } from "./priorities.ts";

/** The share of all slots for each priority. */
const SHARES: Readonly<Record<Priority, number>> = { 0: 1, 1: 0.75, 2: 0.5 };

/** Counts what is open, in all and by connection. */
export interface OpenCalls {
  /** Opens one more on a connection if allowed; the returned function is called when it closes. */
  open(connection: string, priority: Priority): (() => void) | undefined;
}

/**
 * Bounds the calls that a process holds, from their headers on, since each costs memory while it arrives and waits. A
 * connection may hold four times as many as free slots: one connection alone gets four fifths and never all.
 */
export function limitOpenCalls(max: number, onLimit: OnLimit): OpenCalls {
  const byConnection = new Map<string, number>();
  let all = 0;
  return {
    open(connection, priority) {
      const held = byConnection.get(connection) ?? 0;
      if (all >= max * SHARES[priority] || held >= 4 * (max - all)) {
        onLimit("overload");
        return undefined;
      }
      all += 1;
      byConnection.set(connection, held + 1);
      return () => {
        all -= 1;
        const left = (byConnection.get(connection) ?? 1) - 1;
        if (left > 0) byConnection.set(connection, left);
        else byConnection.delete(connection);
      };
    },
  };
}
